import type { LoadOptions, Runtime, Session } from '@tideway/core'
import { errors } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { identityModel } from '@tideway/test/support/onnx-models'
import { expect, it } from 'vitest'
import { loadFastest } from './threads.js'

/** A runtime whose runs take as long as their threads say; it counts what it has loaded. */
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

it('takes many runs of one thread where threads do not help, and one of many where they do', async () => {
  const small = timed(() => 5)
  expect((await loadFastest(small.runtime, new Uint8Array(), 4)).plan).toEqual({ parallel: 4, intraOpThreads: 1 })
  const large = timed((threads) => 200 / threads ** 2)
  expect((await loadFastest(large.runtime, new Uint8Array(), 4)).plan).toEqual({ parallel: 1, intraOpThreads: 4 })
  for (const { open, most } of [small, large]) {
    expect(open).toHaveLength(1)
    expect(most.open).toBe(1)
  }
  expect([small.open, large.open]).toEqual([[1], [4]])
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
