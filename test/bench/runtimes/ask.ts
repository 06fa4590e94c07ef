import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface AskOptions {
  readonly execArgv?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** What a process of its own answers to its one message; throws when it ends without an answer. */
export async function ask<Answer>(
  file: URL,
  message: object,
  { execArgv = [], env = {} }: AskOptions = {},
): Promise<Answer> {
  const child = fork(fileURLToPath(file), { execArgv: [...execArgv], env: { ...process.env, ...env } })
  const answered = once(child, 'message').then(([answer]) => answer as Answer)
  const ended = once(child, 'exit').then(([code, signal]): never => {
    throw new Error(`${fileURLToPath(file)} ended with ${String(signal ?? code)} and no answer`)
  })
  child.send(message)
  const answer = await Promise.race([answered, ended])
  await ended.catch(() => undefined)
  return answer
}
