import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

export interface RunningProcess {
  readonly pid: number
  /** Every line of stdout and stderr so far. */
  readonly lines: readonly string[]
  /** The first line, past or to come, that matches; throws with the output when it ends or `timeoutMs` passes first. */
  waitForLine(pattern: RegExp, timeoutMs?: number): Promise<string>
  /** Resolves with the exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>
  /** Sends the signal (default SIGTERM) and resolves when the process has ended; one that has not after 60 s is killed, and it throws. */
  kill(signal?: NodeJS.Signals): Promise<void>
}

/** Starts a process, its output kept by lines. */
export function startProcess(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string | undefined>> } = {},
): RunningProcess {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
  })
  const lines: string[] = []
  const watchers = new Set<(line: string) => void>()
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      for (const watcher of watchers) watcher(line)
    })
  const exited = exitOf(child)
  return {
    pid: child.pid ?? -1,
    lines,
    exited,
    async waitForLine(pattern, timeoutMs = 120_000) {
      const seen = lines.find((line) => pattern.test(line))
      if (seen !== undefined) return seen
      return new Promise<string>((resolve, reject) => {
        const settle = (finish: () => void) => {
          clearTimeout(timer)
          watchers.delete(watcher)
          finish()
        }
        const fail = (why: string) =>
          settle(() => reject(new Error(`${command} ${why} before ${pattern}:\n${lines.slice(-40).join('\n')}`)))
        const watcher = (line: string) => {
          if (pattern.test(line)) settle(() => resolve(line))
        }
        const timer = setTimeout(() => fail(`took ${timeoutMs} ms`), timeoutMs)
        watchers.add(watcher)
        void exited.then((code) => fail(`ended with ${code}`))
      })
    },
    async kill(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      await inTime(exited, 60_000, () => {
        child.kill('SIGKILL')
        return `${command} did not end by ${signal}:\n${lines.slice(-40).join('\n')}`
      })
    },
  }
}

/** Starts a built script of ours in a Node process. */
export function startNode(
  script: string,
  args: readonly string[] = [],
  options: { cwd?: string; env?: Readonly<Record<string, string | undefined>> } = {},
): RunningProcess {
  return startProcess(process.execPath, [script, ...args], options)
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  // A process that could not be spawned emits `error` and no `exit`.
  const failed = once(child, 'error').then(([error]) => {
    throw error
  })
  const [code] = (await Promise.race([once(child, 'close'), failed])) as [number | null]
  return code
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no address')
  return address.port
}

/** What the promise gives; throws what `late` says when it takes longer. */
export async function inTime<T>(promise: Promise<T>, timeoutMs: number, late: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const overdue = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms: ${late()}`)), timeoutMs)
  })
  try {
    return await Promise.race([promise, overdue])
  } finally {
    clearTimeout(timer)
  }
}

/** Asks until the answer is truthy; throws what it was waiting for after `timeoutMs`, also when one answer takes that long. */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  timeoutMs = 60_000,
): Promise<NonNullable<Awaited<T>>> {
  const until = Date.now() + timeoutMs
  for (;;) {
    const answer = await inTime(Promise.resolve(ask()), timeoutMs + 5_000, () => `an answer on ${what}`)
    if (answer) return answer as NonNullable<Awaited<T>>
    if (Date.now() > until) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
