import type { Session, Tensor, Tensors } from '@tideway/core'
import { errors } from '@tideway/core'
import { GraphBuilder, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Batch, type BatchOptions, DEFAULT_BATCHING } from './batch.js'
import { Batcher } from './batcher.js'

const floats = (shape: readonly number[], ...values: number[]): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
})

/** A session that doubles, whose runs end when they are told to. */
function held(shape: readonly (number | null)[] = [null, 2]) {
  const runs: { readonly inputs: Tensors; readonly end: (error?: unknown) => void }[] = []
  const state = { disposed: false }
  const session: Session = {
    signature: {
      inputs: [{ name: 'x', dtype: 'float32', shape }],
      outputs: [{ name: 'y', dtype: 'float32', shape }],
    },
    run: (inputs) =>
      new Promise((resolve, reject) => {
        const { data, shape: given } = inputs.x as Tensor & { data: Float32Array }
        const y = { dtype: 'float32', shape: given, data: data.map((value) => value * 2) } as const
        runs.push({ inputs, end: (error) => (error === undefined ? resolve({ y }) : reject(error)) })
      }),
    dispose: async () => void (state.disposed = true),
  }
  return { session, runs, state }
}

function batcherOf(session: Session, options: Partial<BatchOptions> = {}) {
  const batches: Batch[] = []
  const batcher = new Batcher(session, { ...DEFAULT_BATCHING, ...options }, (batch) => batches.push(batch))
  return { batcher, batches }
}

/** What is due behind this turn of the event loop and the next has been done. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}
const answer = (y: Tensor) => ({ outputs: { y } })

describe('a batcher', () => {
  it('runs at once where the model is idle, and together what came during a run', async () => {
    const { session, runs } = held()
    const { batcher, batches } = batcherOf(session)
    const first = batcher.run({ x: floats([1, 2], 1, 2) })
    await settled()
    const second = batcher.run({ x: floats([2, 2], 3, 4, 5, 6) })
    const third = batcher.run({ x: floats([1, 2], 7, 8) })
    await settled()
    expect(runs).toHaveLength(1)
    await settled()
    runs[0]?.end()
    expect(await first).toMatchObject({ ...answer(floats([1, 2], 2, 4)), batchRows: 1 })
    await settled()
    expect(runs[1]?.inputs.x).toEqual(floats([3, 2], 3, 4, 5, 6, 7, 8))
    await settled()
    runs[1]?.end()
    expect(await second).toMatchObject({ ...answer(floats([2, 2], 6, 8, 10, 12)), batchRows: 3, leads: true })
    expect(await third).toMatchObject({ ...answer(floats([1, 2], 14, 16)), batchRows: 3, leads: false })
    expect(batches).toEqual([
      { closed: 'free', rows: 1, requests: 1 },
      { closed: 'free', rows: 3, requests: 2 },
    ])
  })

  it('counts rows: what does not fit whole is left for the next run, and what is larger runs alone', async () => {
    const { session, runs } = held([null, 1])
    const { batcher, batches } = batcherOf(session, { maxRows: 4 })
    const sizes = [1, 3, 2, 9, 1]
    const run = (rows: number) => batcher.run({ x: floats([rows, 1], ...Array(rows).fill(rows)) })
    const all = sizes.slice(0, 1).map(run)
    await settled()
    all.push(...sizes.slice(1).map(run))
    for (let at = 0; at < 5; at++) {
      await settled()
      runs[at]?.end()
    }
    const answers = await Promise.all(all)
    expect(answers.map(({ outputs }) => outputs.y?.shape[0])).toEqual(sizes)
    expect(batches.map(({ closed, rows }) => [closed, rows])).toEqual([
      ['free', 1],
      ['full', 3],
      ['full', 2],
      ['full', 9],
      ['free', 1],
    ])
  })

  it('takes what keeps arriving turn by turn together, and lets one that comes alone wait for none', async () => {
    const { session, runs } = held([null, 1])
    const { batcher } = batcherOf(session, { maxRows: 5 })
    const run = (value: number) => void batcher.run({ x: floats([1, 1], value) })
    const turn = () => new Promise((resolve) => setImmediate(resolve))
    const rows = () => runs.map(({ inputs }) => inputs.x?.shape[0])
    run(1)
    await turn()
    expect(rows()).toEqual([1])
    runs[0]?.end()
    await settled()
    for (const values of [[2, 3], [4], [5]]) {
      for (const value of values) run(value)
      await turn()
      expect(rows()).toEqual([1])
    }
    await turn()
    expect(rows()).toEqual([1, 4])
    runs[1]?.end()
    await settled()
    for (const values of [
      [6, 7, 8],
      [9, 10],
    ]) {
      for (const value of values) run(value)
      await turn()
    }
    // Full: it waits for no more.
    expect(rows()).toEqual([1, 4, 5])
  })

  it('waits no longer for requests without rows, however they keep arriving', async () => {
    const { session, runs } = held([null, 1])
    const { batcher } = batcherOf(session, { maxRows: 3 })
    for (let turn = 0; turn < 10; turn++) {
      for (let i = 0; i < 2; i++) void batcher.run({ x: floats([0, 1]) })
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(runs).toHaveLength(1)
  })

  it('lets one that waits behind a run wait for others, no longer than it is told', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const { session, runs } = held()
    const { batcher, batches } = batcherOf(session, { maxDelayMs: 20, maxRows: 2 })
    const idle = batcher.run({ x: floats([1, 2], 1, 1) })
    await settled()
    const waiting = batcher.run({ x: floats([1, 2], 2, 2) })
    await settled()
    runs[0]?.end()
    await idle
    await settled()
    vi.advanceTimersByTime(19)
    await settled()
    expect(runs).toHaveLength(1)
    vi.advanceTimersByTime(1)
    await settled()
    expect(runs).toHaveLength(2)
    const full = [batcher.run({ x: floats([1, 2], 3, 3) }), batcher.run({ x: floats([1, 2], 4, 4) })]
    await settled()
    runs[1]?.end()
    await waiting
    await settled()
    expect(runs).toHaveLength(3)
    await settled()
    runs[2]?.end()
    await Promise.all(full)
    expect(batches.map(({ closed }) => closed)).toEqual(['free', 'delay', 'full'])
  })

  it('keeps apart rows of other shapes, and models without a free first axis', async () => {
    const { session, runs } = held([null, null])
    const { batcher, batches } = batcherOf(session)
    const all = [batcher.run({ x: floats([1, 1], 1) })]
    await settled()
    all.push(batcher.run({ x: floats([1, 2], 1, 2) }), batcher.run({ x: floats([1, 1], 3) }))
    for (let at = 0; at < 3; at++) {
      await settled()
      runs[at]?.end()
    }
    await Promise.all(all)
    expect(batches.map(({ closed }) => closed)).toEqual(['free', 'shape', 'free'])
    const fixed = held([1, 2])
    const alone = batcherOf(fixed.session)
    const both = [alone.batcher.run({ x: floats([1, 2], 1, 2) }), alone.batcher.run({ x: floats([1, 2], 3, 4) })]
    await settled()
    fixed.runs[0]?.end()
    await settled()
    fixed.runs[1]?.end()
    await Promise.all(both)
    expect(alone.batches.map(({ closed }) => closed)).toEqual(['alone', 'alone'])
  })

  it('refuses a request that does not fit the model without touching the others', async () => {
    const { session, runs } = held()
    const { batcher } = batcherOf(session)
    const good = batcher.run({ x: floats([1, 2], 1, 2) })
    await expect(batcher.run({ x: floats([1, 3], 1, 2, 3) })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await settled()
    runs[0]?.end()
    await good
  })

  it('refuses what would wait behind too many rows, and says for how long', async () => {
    const { session, runs } = held()
    const { batcher } = batcherOf(session, { maxQueuedRows: 2 })
    const run = () => batcher.run({ x: floats([1, 2], 1, 2) })
    const taken = [run()]
    await settled()
    taken.push(run(), run())
    await expect(run()).rejects.toMatchObject({ code: 'SERVING_BUSY', status: 429, data: { queuedRows: 2 } })
    await settled()
    runs[0]?.end()
    await settled()
    runs[1]?.end()
    await Promise.all(taken)
  })

  it('ends what waits before it frees the session', async () => {
    const { session, runs, state } = held()
    const { batcher } = batcherOf(session)
    const all = [batcher.run({ x: floats([1, 2], 1, 1) })]
    await settled()
    all.push(batcher.run({ x: floats([1, 2], 2, 2) }))
    const disposal = Promise.all([batcher.dispose(), batcher.dispose()])
    await settled()
    runs[0]?.end()
    await settled()
    expect(state.disposed).toBe(false)
    await settled()
    runs[1]?.end()
    await Promise.all([...all, disposal])
    expect(state.disposed).toBe(true)
  })

  it('hands on an error that is of the session to all of a batch', async () => {
    const { session, runs } = held()
    const { batcher } = batcherOf(session)
    const first = batcher.run({ x: floats([1, 2], 1, 2) })
    await settled()
    const both = [1, 2].map((value) => batcher.run({ x: floats([1, 2], value, value) }))
    await settled()
    runs[0]?.end()
    await first
    await settled()
    runs[1]?.end(errors.SESSION_DISPOSED({}))
    const failed = { status: 'rejected', reason: { code: 'SESSION_DISPOSED' } }
    expect(await Promise.allSettled(both)).toMatchObject([failed, failed])
  })
})

describe('a batcher on ONNX Runtime', () => {
  /** Rows of a table by their places: a place that is none fails the run that it is in. */
  function lookUp(): Uint8Array {
    const g = new GraphBuilder('look_up')
    const at = g.input('at', 'int64', [null])
    const table = g.constant({ dtype: 'float32', shape: [4, 2], data: Float32Array.of(0, 0, 1, 10, 2, 20, 3, 30) })
    g.output('row', g.op('Gather', [table, at], { axis: 0n }))
    return writeModel(g.build())
  }
  const places = (...at: number[]): Tensors => ({
    at: { dtype: 'int64', shape: [at.length], data: BigInt64Array.from(at, BigInt) },
  })

  it('fails a bad request of a batch alone', async () => {
    const { batcher, batches } = batcherOf(await createOnnxNodeRuntime().load(lookUp()))
    const all = [places(0), places(1), places(9), places(3, 2)].map((inputs) => batcher.run(inputs))
    const results = await Promise.allSettled(all)
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
    expect(results[2]).toMatchObject({ reason: { code: 'RUN_FAILED' } })
    expect((results[3] as PromiseFulfilledResult<{ outputs: Tensors }>).value.outputs.row).toEqual(
      floats([2, 2], 3, 30, 2, 20),
    )
    expect(batches[0]).toMatchObject({ requests: 4, rows: 5 })
    await batcher.dispose()
  })

  it('gives each request what it would have got alone, whatever comes together', async () => {
    const { batcher } = batcherOf(await createOnnxNodeRuntime().load(lookUp()), { maxRows: 5 })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.nat(3), { maxLength: 7 }), { maxLength: 12 }), async (requests) => {
        const answers = await Promise.all(requests.map((at) => batcher.run(places(...at))))
        const expected = requests.map((at) => floats([at.length, 2], ...at.flatMap((place) => [place, place * 10])))
        expect(answers.map(({ outputs }) => outputs.row)).toEqual(expected)
      }),
    )
    await batcher.dispose()
  })
})
