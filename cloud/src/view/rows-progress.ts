import { Presets, SingleBar } from 'cli-progress'
import type { PredictProgress } from '../predict/run.js'
import { duration } from './job-progress.js'
import type { ProgressForm } from './progress.js'

/** Shows how far a file of rows is. */
export interface RowsView {
  show(progress: PredictProgress): void
  end(): void
}

interface Pace {
  readonly share: number
  readonly rowsPerSecond: number
  readonly secondsLeft: number | undefined
}

const LINE_EVERY_MS = 10_000

/** Progress goes to standard error: a bar on a terminal, a line every ten seconds elsewhere, JSON lines where asked for. */
export function createRowsView(form: ProgressForm = process.stderr.isTTY ? 'bar' : 'lines'): RowsView {
  const paceOf = pace(() => performance.now())
  const write = (line: string): void => void process.stderr.write(`${line}\n`)
  if (form === 'bar') return barView(paceOf)
  return form === 'json' ? jsonView(paceOf, write) : lineView(paceOf, write, () => performance.now())
}

/** How fast it goes: what an earlier process did took no time of this one. */
export function pace(now: () => number): (progress: PredictProgress) => Pace {
  const began = now()
  return ({ rows, resumedFrom, bytesRead, bytes, rowCount }) => {
    const seconds = Math.max(1e-3, (now() - began) / 1000)
    const share = rowCount === undefined ? bytesRead / Math.max(1, bytes) : rows / Math.max(1, rowCount)
    const rowsPerSecond = (rows - resumedFrom) / seconds
    const isKnown = share > 0 && rowsPerSecond > 0
    const secondsLeft = isKnown ? Math.max(0, rows / share - rows) / rowsPerSecond : undefined
    return { share: Math.min(1, share), rowsPerSecond, secondsLeft }
  }
}

function barView(paceOf: (progress: PredictProgress) => Pace): RowsView {
  const format = '[{bar}] {percentage}% | {rows} rows{skipped} | {speed} rows/s | {left} left'
  const bar = new SingleBar({ stream: process.stderr, format, hideCursor: true }, Presets.shades_classic)
  let running = false
  return {
    show(progress) {
      const { share, rowsPerSecond, secondsLeft } = paceOf(progress)
      const fields = {
        rows: progress.rows,
        skipped: progress.skipped > 0 ? ` (${progress.skipped} left out)` : '',
        speed: rowsPerSecond.toFixed(0),
        left: secondsLeft === undefined ? '-' : duration(secondsLeft),
      }
      if (!running) bar.start(1_000, 0, fields)
      running = true
      bar.update(Math.round(share * 1_000), fields)
    },
    end() {
      if (running) bar.stop()
    },
  }
}

export function lineView(
  paceOf: (progress: PredictProgress) => Pace,
  write: (line: string) => void,
  now: () => number,
): RowsView {
  let last = Number.NEGATIVE_INFINITY
  return {
    show(progress) {
      if (now() - last < LINE_EVERY_MS) return
      last = now()
      const { share, rowsPerSecond } = paceOf(progress)
      const skipped = progress.skipped > 0 ? `, ${progress.skipped} left out` : ''
      write(`${progress.rows} rows${skipped}, ${(share * 100).toFixed(1)}%, ${rowsPerSecond.toFixed(0)} rows/s`)
    },
    end() {},
  }
}

export function jsonView(paceOf: (progress: PredictProgress) => Pace, write: (line: string) => void): RowsView {
  return {
    show(progress) {
      const { rows, skipped, bytesRead, bytes, rowCount } = progress
      const { rowsPerSecond, secondsLeft } = paceOf(progress)
      write(JSON.stringify({ rows, rowCount, skipped, bytesRead, bytes, rowsPerSecond, secondsLeft }))
    },
    end() {},
  }
}
