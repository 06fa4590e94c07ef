import type { JobRecord } from '@tideway/core'
import { Presets, SingleBar } from 'cli-progress'
import { duration, newestMetric, progressOf } from './job-progress.js'

/** Shows how far a training job is. */
export interface JobView {
  show(job: JobRecord): void
  end(): void
}

export const PROGRESS_FORMS = ['bar', 'lines', 'json'] as const
export type ProgressForm = (typeof PROGRESS_FORMS)[number]

const text = (value: number | undefined, digits: number) => value?.toFixed(digits) ?? '-'

/** Progress goes to standard error, so that standard output stays an answer. */
const toStandardError = (line: string): void => void process.stderr.write(`${line}\n`)

/** A bar on a terminal, a line for each stage and epoch elsewhere; as JSON lines for programs that ask for them. */
export function createJobView(form: ProgressForm = process.stderr.isTTY ? 'bar' : 'lines'): JobView {
  if (form === 'bar') return barView()
  return form === 'json' ? jsonView() : lineView()
}

function barView(): JobView {
  const bar = new SingleBar(
    {
      stream: process.stderr,
      format: '{stage} [{bar}] {percentage}% | epoch {epoch} | loss {loss}{metric} | {speed} samples/s | {left} left',
      hideCursor: true,
      clearOnComplete: false,
    },
    Presets.shades_classic,
  )
  let running = false
  return {
    show(job) {
      const { stage, epoch, epochs, step = 0, steps = 0, loss, metrics, ...pace } = progressOf(job)
      const metric = newestMetric(metrics)
      const fields = {
        stage: stage.padEnd(10),
        epoch: `${epoch ?? '-'}/${epochs ?? '-'}`,
        loss: text(loss, 4),
        metric: metric === undefined ? '' : ` | ${metric}`,
        speed: text(pace.samplesPerSecond, 0),
        left: pace.secondsLeft === undefined ? '-' : duration(pace.secondsLeft),
      }
      if (!running) {
        if (steps === 0) return
        bar.start(steps, step, fields)
        running = true
      } else if (steps > 0) bar.update(step, fields)
      // A stage without steps: what training ended with stays in sight.
      else bar.update({ stage: fields.stage })
    },
    end() {
      if (running) bar.stop()
    },
  }
}

/** A line for each stage, and for each epoch with its loss and the newest metric. */
export function lineView(write = toStandardError): JobView {
  let said = ''
  return {
    show(job) {
      const { stage, epoch, epochs, loss, metrics } = progressOf(job)
      const line = epoch === undefined ? stage : `${stage} epoch ${epoch}/${epochs ?? '-'}`
      if (line === said) return
      said = line
      const metric = newestMetric(metrics)
      write(`${line}${loss === undefined ? '' : ` loss ${text(loss, 4)}`}${metric === undefined ? '' : ` ${metric}`}`)
    },
    end() {},
  }
}

/** One JSON object for each word on the training itself. */
export function jsonView(write = toStandardError): JobView {
  let said = ''
  return {
    show(job) {
      const { stage: _, ...progress } = progressOf(job)
      if (progress.step === undefined) return
      const line = JSON.stringify(progress)
      if (line === said) return
      said = line
      write(line)
    },
    end() {},
  }
}
