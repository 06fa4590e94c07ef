import type { JobRecord } from '@tideway/core'
import { Presets, SingleBar } from 'cli-progress'
import { progressOf } from './job-progress.js'

/** Shows how far a training job is: a bar on a terminal, a line for each stage and epoch elsewhere. */
export interface JobView {
  show(job: JobRecord): void
  end(): void
}

const text = (value: number | undefined, digits: number) => value?.toFixed(digits) ?? '-'

/** Progress goes to standard error, so that standard output stays an answer. */
export function createJobView(): JobView {
  return process.stderr.isTTY ? barView() : lineView()
}

function barView(): JobView {
  const bar = new SingleBar(
    {
      stream: process.stderr,
      format: '{stage} [{bar}] {percentage}% | epoch {epoch} | loss {loss} | {speed} samples/s | {eta_formatted} left',
      hideCursor: true,
      clearOnComplete: false,
    },
    Presets.shades_classic,
  )
  let running = false
  return {
    show(job) {
      const { stage, epoch, epochs, step = 0, steps = 0, loss, samplesPerSecond } = progressOf(job)
      const fields = {
        stage: stage.padEnd(10),
        epoch: `${epoch ?? '-'}/${epochs ?? '-'}`,
        loss: text(loss, 4),
        speed: text(samplesPerSecond, 0),
      }
      if (!running) {
        if (steps === 0) return
        bar.start(steps, step, fields)
        running = true
      } else if (steps > 0) bar.update(step, fields)
      else bar.update(bar.getTotal(), { ...fields, epoch: 'all' })
    },
    end() {
      if (running) bar.stop()
    },
  }
}

function lineView(): JobView {
  let said = ''
  return {
    show(job) {
      const { stage, epoch, epochs, loss } = progressOf(job)
      const line = epoch === undefined ? stage : `${stage} epoch ${epoch}/${epochs ?? '-'}`
      if (line === said) return
      said = line
      process.stderr.write(`${line}${loss === undefined ? '' : ` loss ${text(loss, 4)}`}\n`)
    },
    end() {},
  }
}
