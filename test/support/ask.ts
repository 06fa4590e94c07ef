import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface AskOptions {
  readonly execArgv?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** It is killed then. */
  readonly mostMs?: number
  /** What it writes is dropped: drivers write a lot. */
  readonly quiet?: boolean
}

/**
 * What a process of its own answers to its one message; typed arrays travel as they are. Throws, with the reason, when it
 * ends without an answer or takes too long.
 */
export function ask<Answer>(
  file: URL,
  message: object,
  { execArgv = [], env = {}, mostMs = 600_000, quiet = false }: AskOptions = {},
): Promise<Answer> {
  const output = quiet ? 'ignore' : 'inherit'
  const child = fork(fileURLToPath(file), {
    execArgv: [...execArgv],
    env: { ...process.env, ...env },
    serialization: 'advanced',
    stdio: ['ignore', output, output, 'ipc'],
  })
  return new Promise<Answer>((resolve, reject) => {
    let answer: { readonly value: Answer } | undefined
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, mostMs)
    child.once('message', (value) => {
      answer = { value: value as Answer }
    })
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      if (answer !== undefined) resolve(answer.value)
      else
        reject(
          new Error(
            late ? `it took more than ${mostMs / 1000} s` : `its process ended with ${signal ?? code} and no answer`,
          ),
        )
    })
    // A process that is gone says so by its end.
    child.send(message, () => undefined)
  })
}

/** The built file of a process, from this package's sources and from `dist` alike: Node 20 runs no TypeScript. */
export function builtFile(path: string): URL {
  const isSource = import.meta.url.endsWith('.ts')
  return new URL(isSource ? `../dist/${path}` : `../${path}`, import.meta.url)
}

/** A source file of this package, from both alike. */
export function sourceFile(path: string): URL {
  const isSource = import.meta.url.endsWith('.ts')
  return new URL(isSource ? `../${path}` : `../../${path}`, import.meta.url)
}
