import type { LoadOptions, Runtime, Session } from '@tideway/core'
import { errors } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { identityModel } from '@tideway/test/support/onnx-models'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { loadFastest } from './threads.js'

/** A runtime whose runs take as long as their threads say, on a clock that waits for nobody; it counts what it has loaded. */
function timed(msOf: (threads: number) => number | Error) {
  const open: number[] = []
  const most = { open: 0 }
  const runtime: Pick<Runtime, 'load'> = {
    async load(_bytes: Uint8Array, { intraOpThreads = 0 }: LoadOptions = {}): Promise<Session> {
      open.push(intraOpThreads)
      most.open = Math.max(most.open, open.length)
      return {
        signature: { inputs: [{ name: 'x', dtype: 'float32', shape: [null, 2] }], outputs: [] },
        async run() {
          const ms = msOf(intraOpThreads)
          if (ms instanceof Error) throw ms
          await new Promise((resolve) => setTimeout(resolve, ms))
          return {}
        },
        dispose: async () => void open.splice(open.indexOf(intraOpThreads), 1),
      }
    },
  }
  return { runtime, open, most }
}

/** The plan that is found while nothing but the runs takes time. */
async function planOf({ runtime }: ReturnType<typeof timed>, budget: number) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] })
  const loading = loadFastest(runtime, new Uint8Array(), budget)
  await vi.runAllTimersAsync()
  return (await loading).plan
}

describe('the threads of a model', () => {
  afterEach(() => vi.useRealTimers())

  it.each<[string, number, (threads: number) => number, readonly [parallel: number, threads: number]]>([
    ['are one for each of many runs, where more do not help', 4, () => 5, [4, 1]],
    ['are all for one run, where they help', 4, (threads) => 200 / threads ** 2, [1, 4]],
    // 30 ms in place of 40, and only one at once.
    [
      'are one for each, where two of them give less than two runs at once',
      2,
      (threads) => 40 / threads ** 0.4,
      [2, 1],
    ],
    ['are two for each of two runs, where more do not help', 4, (threads) => (threads === 1 ? 90 : 10), [2, 2]],
    ['are one for each, where a run is too short for it to matter', 4, () => 0, [4, 1]],
  ])('%s', async (_, budget, msOf, [parallel, intraOpThreads]) => {
    const model = timed(msOf)
    expect(await planOf(model, budget)).toEqual({ parallel, intraOpThreads })
    expect(model.open).toEqual([intraOpThreads])
    // One at a time: two of a large model may not fit.
    expect(model.most.open).toBe(1)
  })
})

it('takes a model as it is that fails on zeros', async () => {
  const { runtime, open } = timed(() => errors.RUN_FAILED({ reason: 'out of range' }))
  expect((await loadFastest(runtime, new Uint8Array(), 2)).plan).toEqual({ parallel: 2, intraOpThreads: 1 })
  expect(open).toEqual([1])
})

it('gives a session of ONNX Runtime that answers', async () => {
  const { session, plan } = await loadFastest(createOnnxNodeRuntime(), identityModel('float32'), 2)
  expect(plan.parallel * plan.intraOpThreads).toBe(2)
  const x = { dtype: 'float32', shape: [1, 2], data: Float32Array.of(1, 2) } as const
  expect((await session.run({ x })).y?.data).toEqual(x.data)
  await session.dispose()
})
