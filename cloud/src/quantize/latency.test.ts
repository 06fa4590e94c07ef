import type { Runtime, Session } from '@tideway/core'
import { expect, it } from 'vitest'
import { latenciesOf } from './latency.js'

it('lets go of the files that were loaded where another one cannot be', async () => {
  let open = 0
  const runtime = {
    async load(file: Uint8Array) {
      if (file.length === 0) throw new Error('no model')
      open += 1
      return { dispose: async () => void (open -= 1) } as Partial<Session> as Session
    },
  } as Partial<Runtime> as Runtime
  const [good, bad] = [new Uint8Array(1), new Uint8Array(0)]
  await expect(latenciesOf(runtime, [good, bad, good], {})).rejects.toThrow('no model')
  expect(open).toBe(0)
})
