import { errors, type InferContext, type Tensor, type Tensors } from '@tideway/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cloudErrors } from '../errors.js'
import type { RowRunner } from './batch.js'
import { ResponseCache } from './cache.js'

const KEEPING = { maxBytes: 1e6, maxEntries: 1_000, maxRequestBytes: 1_000 }
const row = (...values: number[]): Tensors => ({
  x: { dtype: 'float32', shape: [1, values.length], data: Float32Array.from(values) },
})
const valuesOf = (tensors: Tensors) => [...((tensors.y as Tensor).data as Float32Array)]

/** Doubles; runs end when they are told to, or at once. */
function runner({ held = false } = {}) {
  const runs: { readonly inputs: Tensors; readonly context: InferContext; end(error?: unknown): void }[] = []
  const doubling: RowRunner = {
    signature: { inputs: [], outputs: [] },
    run: (inputs, context = {}) =>
      new Promise((resolve, reject) => {
        const { shape, data } = inputs.x as Tensor & { data: Float32Array }
        const outputs = { y: { dtype: 'float32', shape, data: data.map((value) => value * 2) } } as const
        const timing = { queueMs: 0, runMs: 1, rows: 1, batchRows: 1, leads: true }
        const end = (error?: unknown) => (error === undefined ? resolve({ outputs, ...timing }) : reject(error))
        runs.push({ inputs, context, end })
        if (!held) end()
      }),
    dispose: async () => undefined,
  }
  return { doubling, runs }
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

describe('answers that are kept', () => {
  it('are given to requests with the same inputs without another run', async () => {
    const { doubling, runs } = runner()
    const cache = new ResponseCache(KEEPING)
    const cached = cache.around(doubling, 'digest')
    const first = await cached.run(row(1, 2))
    const second = await cached.run(row(1, 2))
    expect([first, second].map(({ cache }) => cache?.result)).toEqual(['miss', 'hit'])
    expect(valuesOf(second.outputs)).toEqual([2, 4])
    expect(second).toMatchObject({ leads: false, runMs: 0, rows: 1 })
    await cached.run(row(1, 3))
    expect(runs).toHaveLength(2)
    expect(cache.totals).toEqual({ hits: 1, misses: 2, bypassed: 0 })
  })

  it('are those of one version alone', async () => {
    const { doubling, runs } = runner()
    const cache = new ResponseCache(KEEPING)
    for (const digest of ['one', 'two']) await cache.around(doubling, digest).run(row(1))
    expect(runs).toHaveLength(2)
  })

  it('cannot be altered by who got them, nor by who ran them', async () => {
    const { doubling } = runner()
    const cached = new ResponseCache(KEEPING).around(doubling, 'digest')
    for (let at = 0; at < 3; at++) {
      const { outputs } = await cached.run(row(1))
      expect(valuesOf(outputs)).toEqual([2])
      const y = outputs.y as unknown as { data: Float32Array; shape: number[] }
      y.data.fill(7)
      y.shape[0] = 7
    }
  })

  it('hold no more of a batch than their rows', async () => {
    const batch = new Float32Array(10_000)
    const y: Tensor = { dtype: 'float32', shape: [1, 1], data: batch.subarray(5, 6) }
    const timing = { queueMs: 0, runMs: 1, rows: 1, batchRows: 10_000, leads: true }
    const whole: RowRunner = { ...runner().doubling, run: async () => ({ outputs: { y }, ...timing }) }
    const cached = new ResponseCache(KEEPING).around(whole, 'digest')
    await cached.run(row(1))
    expect((await cached.run(row(1))).outputs.y?.data).toMatchObject({ buffer: { byteLength: 4 } })
  })

  it('give way, the least recently used first, and never take more than they may', async () => {
    const { doubling, runs } = runner()
    const cache = new ResponseCache({ ...KEEPING, maxEntries: 2 })
    const cached = cache.around(doubling, 'digest')
    for (const value of [1, 2, 1, 3, 1, 2]) await cached.run(row(value))
    // 3 took the place of 2, and 2 that of 3.
    expect(runs.map(({ inputs }) => inputs.x?.data[0])).toEqual([1, 2, 3, 2])
    expect(cache.size.entries).toBe(2)
    const small = new ResponseCache({ ...KEEPING, maxBytes: 2_000 })
    const crowded = small.around(doubling, 'digest')
    for (let value = 0; value < 50; value++) await crowded.run(row(value, 0, 0, 0))
    expect(small.size.bytes).toBeLessThanOrEqual(2_000)
    expect(small.size.entries).toBeGreaterThan(1)
  })
})

describe('requests with the same inputs at the same time', () => {
  it('are one run, and one miss', async () => {
    const { doubling, runs } = runner({ held: true })
    const cache = new ResponseCache(KEEPING)
    const cached = cache.around(doubling, 'digest')
    const asked = Array.from({ length: 5 }, () => cached.run(row(1)))
    await settled()
    expect(runs).toHaveLength(1)
    runs[0]?.end()
    const answers = await Promise.all(asked)
    expect(answers.map(({ outputs }) => valuesOf(outputs))).toEqual(Array(5).fill([2]))
    expect(new Set(answers.map(({ outputs }) => outputs.y?.data)).size).toBe(5)
    expect(cache.totals).toEqual({ hits: 4, misses: 1, bypassed: 0 })
  })

  it('share what is wrong with their inputs', async () => {
    const { doubling, runs } = runner({ held: true })
    const cache = new ResponseCache(KEEPING)
    const cached = cache.around(doubling, 'digest')
    const asked = [cached.run(row(1)), cached.run(row(1))]
    await settled()
    runs[0]?.end(errors.RUN_FAILED({ reason: 'no' }))
    const failed = { status: 'rejected', reason: { code: 'RUN_FAILED' } }
    expect(await Promise.allSettled(asked)).toMatchObject([failed, failed])
    expect(runs).toHaveLength(1)
    expect(cache.totals).toEqual({ hits: 1, misses: 1, bypassed: 0 })
    const again = cached.run(row(1))
    await settled()
    runs[1]?.end()
    expect(valuesOf((await again).outputs)).toEqual([2])
  })

  it.each([
    cloudErrors.CLIENT_GONE({}),
    cloudErrors.DEADLINE_EXCEEDED({ waitedMs: 1 }),
    cloudErrors.SERVING_BUSY({ queuedRows: 1, retryAfterMs: 1 }),
  ])('are not refused with the one that was first: $code', async (error) => {
    const { doubling, runs } = runner({ held: true })
    const cache = new ResponseCache(KEEPING)
    const cached = cache.around(doubling, 'digest')
    const [first, ...others] = [1, 2, 3].map(() => cached.run(row(1)))
    await settled()
    runs[0]?.end(error)
    await expect(first).rejects.toMatchObject({ code: error.code })
    await settled()
    expect(runs).toHaveLength(2)
    runs[1]?.end()
    expect((await Promise.all(others)).map(({ cache }) => cache?.result)).toEqual(['miss', 'hit'])
    expect(cache.totals).toEqual({ hits: 1, misses: 2, bypassed: 0 })
  })

  it('are asked again, and not yet counted, where their session was freed', async () => {
    const { doubling, runs } = runner({ held: true })
    const cache = new ResponseCache(KEEPING)
    const cached = cache.around(doubling, 'digest')
    const asked = [cached.run(row(1)), cached.run(row(1)), cached.run(row(2), { noCache: true })]
    await settled()
    for (const run of runs) run.end(errors.SESSION_DISPOSED({}))
    const freed = { status: 'rejected', reason: { code: 'SESSION_DISPOSED' } }
    expect(await Promise.allSettled(asked)).toMatchObject([freed, freed, freed])
    expect(cache.totals).toEqual({ hits: 0, misses: 0, bypassed: 0 })
  })
})

describe('a request that is not looked up', () => {
  it.each<[string, Tensors, InferContext, boolean]>([
    ['that says so', row(1), { noCache: true }, true],
    ['that is too large', row(...Array(251).fill(1)), {}, true],
    ['of a model that answers differently each time', row(1), {}, false],
  ])('%s is run every time, with what is known of it', async (_, inputs, context, keeps) => {
    const { doubling, runs } = runner()
    const cache = new ResponseCache(KEEPING)
    const cached = cache.around(doubling, 'digest', keeps)
    for (let at = 0; at < 2; at++)
      expect((await cached.run(inputs, context)).cache).toEqual({ result: 'bypass', ms: 0 })
    expect(runs.map((run) => run.context)).toEqual([context, context])
    expect(cache.totals).toEqual({ hits: 0, misses: 0, bypassed: 2 })
  })
})

it('counts every request once, and answers it right, whatever comes together and fails', async () => {
  const ends = fc.constantFrom('ok', 'ok', 'ok', 'RUN_FAILED', 'CLIENT_GONE', 'SERVING_BUSY')
  const request = fc.record({ value: fc.nat(3), noCache: fc.boolean(), wide: fc.boolean() })
  const step = fc.oneof(fc.record({ ask: request }), fc.record({ end: ends, which: fc.nat(9) }))
  const failures: Record<string, Error> = {
    RUN_FAILED: errors.RUN_FAILED({ reason: 'no' }),
    CLIENT_GONE: cloudErrors.CLIENT_GONE({}),
    SERVING_BUSY: cloudErrors.SERVING_BUSY({ queuedRows: 1, retryAfterMs: 1 }),
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), async (steps, maxEntries) => {
      const { doubling, runs } = runner({ held: true })
      const cache = new ResponseCache({ ...KEEPING, maxEntries })
      const cached = cache.around(doubling, 'digest')
      const asked: Promise<void>[] = []
      let ended = 0
      const endOne = async (at: number, how: string) => {
        runs[at]?.end(failures[how])
        await settled()
      }
      for (const step of steps) {
        if ('ask' in step) {
          const { value, noCache, wide } = step.ask
          const inputs = row(...Array(wide ? 300 : 2).fill(value))
          const right = (outputs: Tensors) => expect(new Set(valuesOf(outputs))).toEqual(new Set([2 * value]))
          asked.push(cached.run(inputs, { noCache }).then(({ outputs }) => right(outputs), expectFailure))
        } else if (ended < runs.length) await endOne(ended++, step.end)
      }
      while (ended < runs.length) await endOne(ended++, 'ok')
      await Promise.all(asked)
      const { hits, misses, bypassed } = cache.totals
      expect(hits + misses + bypassed).toBe(asked.length)
    }),
  )

  function expectFailure(error: unknown): void {
    expect(Object.values(failures)).toContain(error)
  }
})
