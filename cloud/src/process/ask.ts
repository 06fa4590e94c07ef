import { fork } from 'node:child_process'

export interface Question {
  /** The built file of the process. */
  readonly file: URL
  readonly args?: readonly string[]
  /** Sent to it; typed arrays travel as they are. */
  readonly message?: object
  readonly mostMs: number
}

/**
 * The one message that a process of its own answers: what a native library does to it, and writes to its standard error,
 * stays there. Rejects, with the reason in words, when it ends without an answer or takes too long; it is killed then.
 */
export function ask<T>({ file, args = [], message, mostMs }: Question): Promise<T> {
  // The parent's flags (of a test runner, say) are not the child's.
  const child = fork(file, args, {
    execArgv: [],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  return new Promise<T>((resolve, reject) => {
    const late = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`it took more than ${mostMs / 1000} s`))
    }, mostMs)
    const fail = (error: Error): void => {
      clearTimeout(late)
      reject(error)
    }
    child.once('message', (answer) => resolve(answer as T))
    child.once('error', fail)
    child.once('exit', (code, signal) => fail(new Error(`its process ended with ${signal ?? code} and no answer`)))
    if (message !== undefined)
      child.send(message, (error) => {
        if (error) fail(error)
      })
  })
}
