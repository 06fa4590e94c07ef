import type { Registry, Session, Tensors } from '@tideway/core'
import { oldBytesPerCall } from '@tideway/test/support/old-generation'
import { expect, it } from 'vitest'
import { Batcher } from './batcher.js'
import { ModelHost } from './model-host.js'
import { Runner } from './run.js'
import { Switcher } from './switcher.js'

const spec = { dtype: 'float32', shape: [null, 4] } as const
const inputs: Tensors = { x: { dtype: 'float32', shape: [1, 4], data: new Float32Array(4) } }
const version = { model: 'm', version: 1, manifestDigest: 'd', createdAt: '' }

const session: Session = {
  signature: { inputs: [{ name: 'x', ...spec }], outputs: [{ name: 'x', ...spec }] },
  run: async (given) => given,
  dispose: async () => undefined,
}

it('a request that has been run leaves nothing to the old generation', async () => {
  const host = new ModelHost({
    registry: () => ({}) as Registry,
    load: async () => ({ batcher: new Batcher(session), bytes: 1 }),
    sizeOf: async () => 1,
    maxSessions: 8,
    maxBytes: 8,
  })
  const logger = () => ({ error: () => undefined })
  const switcher = new Switcher({ load: (one) => host.session(one), isReady: (one) => host.isReady(one), logger })
  const runner = new Runner(host)
  const ask = () => runner.run(switcher.answering('latest', version), inputs, { requestId: 'r' }, performance.now())
  expect(await oldBytesPerCall(ask)).toBeLessThan(60)
})
