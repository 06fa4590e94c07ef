import { TidewayError } from '@tideway/core'
import Table from 'cli-table3'
import { visible } from '../quantize/page/text.js'

/** A table without lines between rows; in colour on a terminal. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const color = process.stdout.isTTY && !process.env.NO_COLOR
  const style = color ? { head: ['cyan'], compact: true } : { head: [], border: [], compact: true }
  const made = new Table({ head: [...head], style })
  for (const row of rows) made.push([...row])
  return made.toString()
}

/** Tells what went wrong and sets the exit code: 1 for one of our errors, 70 (EX_SOFTWARE) for a defect. */
export function fail(error: unknown, json: boolean): void {
  if (error instanceof TidewayError) {
    const { code, message, data } = error
    const causes = causesOf(error)
    if (json) process.stdout.write(`${JSON.stringify({ error: { code, message, data, causes } })}\n`)
    const text = [`${code}: ${message}`, ...causes.map((cause) => `  because ${cause}`)].join('\n')
    // Names that a message quotes may come from a file: they must not steer the terminal.
    process.stderr.write(`${text.split('\n').map(visible).join('\n')}\n`)
    process.exitCode = 1
    return
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  if (json) process.stdout.write(`${JSON.stringify({ error: { code: 'INTERNAL', message: String(error) } })}\n`)
  process.stderr.write(`${text}\n`)
  process.exitCode = 70
}

/** Our own errors behind one, as code and message, the nearest first; others may hold what is not for a screen. */
function causesOf({ cause }: { cause?: unknown }): string[] {
  const first = cause instanceof AggregateError ? (cause.errors as unknown[])[0] : cause
  if (!(first instanceof Error)) return []
  const own = first instanceof TidewayError ? [`${first.code}: ${first.message}`] : []
  return [...own, ...causesOf(first)]
}

/** 12 hexadecimal digits are enough for eyes. */
export function short(digest: string | undefined): string {
  return digest === undefined ? '-' : digest.slice(0, 12)
}

export function kilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`
}

export function percent(share: number | undefined): string {
  return share === undefined ? '-' : `${(share * 100).toFixed(2)}%`
}

/** How long ago a moment was, in the largest unit that gives a whole number. */
export function ago(at: string): string {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(at)) / 1000))
  const [size, unit] = (
    [
      [86_400, 'd'],
      [3_600, 'h'],
      [60, 'min'],
    ] as const
  ).find(([length]) => seconds >= length) ?? [1, 's']
  return `${Math.floor(seconds / size)} ${unit} ago`
}
