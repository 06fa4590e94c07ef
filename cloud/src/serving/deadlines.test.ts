import type { Session, Tensor, Tensors } from '@tideway/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type BatchOptions, DEFAULT_BATCHING } from './batch.js'
import { Batcher } from './batcher.js'

// setImmediate goes on as ever: it is what the batcher reads its line in.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const row = (value: number): Tensors => ({ x: { dtype: 'float32', shape: [1, 1], data: Float32Array.of(value) } })

/** A batcher on a session that answers with what it was given, by the clock of the test. */
function rig(runMs: number, options: Partial<BatchOptions> = {}) {
  const runs: number[][] = []
  const spec = { dtype: 'float32', shape: [null, 1] } as const
  const session: Session = {
    signature: { inputs: [{ name: 'x', ...spec }], outputs: [{ name: 'y', ...spec }] },
    async run(inputs) {
      const { x } = inputs as { x: Tensor & { data: Float32Array } }
      runs.push([...x.data])
      await new Promise((resolve) => setTimeout(resolve, runMs))
      return { y: x }
    },
    dispose: async () => undefined,
  }
  const batcher = new Batcher(session, { ...DEFAULT_BATCHING, ...options })
  /** What came of a request: the moment at which it was answered, or its code and that moment. */
  const ask = (value: number, patience: { readonly withinMs?: number; readonly signal?: AbortSignal } = {}) => {
    const { withinMs, signal } = patience
    const deadlineMs = withinMs === undefined ? undefined : performance.now() + withinMs
    const outcome = { end: 'waits', at: Number.NaN }
    const note = (end: string) => Object.assign(outcome, { end, at: performance.now() - began })
    const began = performance.now()
    batcher.run(row(value), { ...(deadlineMs !== undefined && { deadlineMs }), ...(signal && { signal }) }).then(
      () => note('answered'),
      (error: { code: string }) => note(error.code),
    )
    return outcome
  }
  return { batcher, runs, ask }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function pass(ms: number): Promise<void> {
  await settled()
  for (let step = 0; step < ms; step++) {
    await vi.advanceTimersByTimeAsync(1)
    await settled()
  }
}

describe('a request with a deadline', () => {
  it('that passes while it waits is told so at its deadline, and not run', async () => {
    const { runs, ask } = rig(100)
    ask(1)
    await settled()
    const [late, patient] = [ask(2, { withinMs: 40 }), ask(3)]
    await pass(250)
    expect(late).toEqual({ end: 'DEADLINE_EXCEEDED', at: 40 })
    expect(patient).toEqual({ end: 'answered', at: 200 })
    expect(runs).toEqual([[1], [3]])
  })

  it('that has passed when it comes is refused at once, also by a model that has nothing to do', async () => {
    const { runs, ask } = rig(10)
    const late = ask(1, { withinMs: 0 })
    await pass(20)
    expect(late).toEqual({ end: 'DEADLINE_EXCEEDED', at: 0 })
    expect(runs).toEqual([])
  })

  it('that it cannot make at the pace of those before it is refused at once, and one that it can make is not', async () => {
    const { ask } = rig(100, { maxRows: 1 })
    ask(1)
    await pass(150)
    for (const value of [2, 3, 4]) ask(value)
    await settled()
    // One runs for 100 ms yet, and two wait.
    const [hopeless, close] = [ask(5, { withinMs: 290 }), ask(6, { withinMs: 310 })]
    await pass(1)
    expect(hopeless).toEqual({ end: 'DEADLINE_EXCEEDED', at: 0 })
    await pass(450)
    expect(close).toEqual({ end: 'answered', at: 400 })
  })

  it('is not held for others past it', async () => {
    const { runs, ask } = rig(10, { maxDelayMs: 1_000 })
    ask(1)
    await settled()
    const [patient, urgent] = [ask(2), ask(3, { withinMs: 50 })]
    await pass(60)
    expect(runs).toEqual([[1], [2, 3]])
    expect(urgent.end).toBe('answered')
    // As late as it may be so that the answer is there by the deadline.
    expect(urgent.at).toBeGreaterThanOrEqual(45)
    expect(urgent.at).toBeLessThanOrEqual(50)
    expect(patient.end).toBe('answered')
  })

  it('far in the future waits as one without', async () => {
    const { ask } = rig(100)
    ask(1)
    await settled()
    const far = ask(2, { withinMs: 1e15 })
    await pass(250)
    expect(far).toEqual({ end: 'answered', at: 200 })
  })
})

describe('a request whose client has gone', () => {
  it('is not run, and holds no place in the line', async () => {
    const { runs, ask } = rig(100, { maxQueuedRows: 1 })
    const leaving = new AbortController()
    ask(1)
    await settled()
    const gone = ask(2, { signal: leaving.signal })
    leaving.abort()
    const next = ask(3)
    await pass(250)
    expect(gone.end).toBe('CLIENT_GONE')
    expect(next.end).toBe('answered')
    expect(runs).toEqual([[1], [3]])
    expect(ask(4, { signal: leaving.signal }).end).toBe('waits')
    await pass(1)
    expect(runs).toEqual([[1], [3]])
  })

  it('does not keep a batcher from ending', async () => {
    const { batcher, ask, runs } = rig(100)
    const leaving = new AbortController()
    ask(1)
    await settled()
    const gone = ask(2, { signal: leaving.signal })
    const late = ask(3, { withinMs: 50 })
    leaving.abort()
    let isDisposed = false
    void batcher.dispose().then(() => (isDisposed = true))
    await pass(101)
    expect([gone.end, late.end]).toEqual(['CLIENT_GONE', 'DEADLINE_EXCEEDED'])
    expect(isDisposed).toBe(true)
    expect(runs).toEqual([[1]])
  })
})
