import { fileURLToPath } from 'node:url'
import { inTime, type RunningProcess, startProcess } from './process.js'

const BIN = fileURLToPath(new URL('../../cloud/dist/bin.js', import.meta.url))

type Env = Readonly<Record<string, string | undefined>>

/** How a command ended, and what it wrote. */
export interface Finished {
  readonly code: number | null
  readonly output: string
  /** The last line that is a JSON object: what `--json` answers. */
  readonly json: unknown
}

/** Starts the built `tideway` command. */
export function startTideway(args: readonly string[], options: { cwd?: string; env?: Env } = {}): RunningProcess {
  return startProcess(process.execPath, [BIN, ...args], options)
}

/** Runs it to its end; throws with its output when that takes over 280 s. */
export async function tideway(args: readonly string[], options: { cwd?: string; env?: Env } = {}): Promise<Finished> {
  const running = startTideway(args, options)
  const code = await inTime(running.exited, 280_000, () => `tideway ${args.join(' ')}:\n${running.lines.join('\n')}`)
  const line = running.lines.findLast((text) => /^\{.*\}$/.test(text) && !isLog(text))
  return { code, output: running.lines.join('\n'), json: line === undefined ? undefined : JSON.parse(line) }
}

/** Runs it, and throws with its output when it fails; answers its JSON. */
export async function tidewayJson<T>(args: readonly string[], options?: { cwd?: string; env?: Env }): Promise<T> {
  const { code, output, json } = await tideway([...args, '--json'], options)
  if (code !== 0) throw new Error(`tideway ${args.join(' ')} ended with ${code}:\n${output}`)
  return json as T
}

/** A line of the logger, which also writes JSON. */
function isLog(text: string): boolean {
  return text.startsWith('{"level":')
}
