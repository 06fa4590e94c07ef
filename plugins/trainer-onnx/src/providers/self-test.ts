import { fork } from 'node:child_process'

/** The built file, from `src` and from `dist` alike: Node 20 runs no TypeScript. */
const CHILD = new URL('../../dist/providers/child.js', import.meta.url)
/** A driver that computes on the CPU takes seconds to compile a kernel. */
const MOST_MS = 60_000

/** Whether it is faster than the CPU; else the rows a second of both, or why there are none. */
export type Answer =
  | { readonly faster: true }
  | { readonly perSecond: number; readonly cpuPerSecond: number }
  | { readonly error: string }

/**
 * Why a provider is not to be taken, in words, undefined where nothing is against it: a layer is trained on it and on
 * the CPU, in a process of its own, so that a driver that crashes takes that process with it and no more. One that computes
 * on the CPU in the end (SwiftShader, say) is slower than the CPU is.
 */
export async function selfTest(provider: string, { file = CHILD, mostMs = MOST_MS } = {}): Promise<string | undefined> {
  const answer = await ask(file, provider, mostMs)
  if ('faster' in answer) return undefined
  if ('error' in answer) return answer.error
  const { perSecond, cpuPerSecond } = answer
  return `its self-test trained ${Math.round(perSecond)} rows a second, the CPU ${Math.round(cpuPerSecond)}`
}

function ask(file: URL, provider: string, mostMs: number): Promise<Answer> {
  // The parent's flags (of a test runner, say) are not the child's; what its libraries write is not seen.
  const child = fork(file, [provider], { execArgv: [], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  return new Promise((resolve) => {
    const late = setTimeout(() => {
      child.kill('SIGKILL')
      resolve({ error: `its self-test took more than ${mostMs / 1000} s` })
    }, mostMs)
    const end = (answer: Answer): void => {
      clearTimeout(late)
      resolve(answer)
    }
    child.once('message', (answer) => end(answer as Answer))
    child.once('error', ({ message }) => end({ error: message }))
    child.once('exit', (code, signal) => end({ error: `its self-test ended with ${signal ?? code} and no answer` }))
  })
}
