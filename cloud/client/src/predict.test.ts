import { errors, type Tensor, type Tensors } from '@tideway/core'
import { type Listener, listen, optionsSchema } from '@tideway/server-http'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Client, createClient } from './client.js'

const echo = echoServing()
let server: Listener
let client: Client
/** Requests in flight, and the most there were. */
const flight = { now: 0, most: 0 }
let failing: (value: number) => Error | undefined = () => undefined
const versions: (string | undefined)[] = []

beforeAll(async () => {
  echo.takes(specOf('x', 'float32', [null]))
  const infer: typeof echo.infer = async (model, version, inputs) => {
    versions.push(version)
    flight.most = Math.max(flight.most, ++flight.now)
    await new Promise(setImmediate)
    flight.now--
    const error = failing(valueOf(inputs))
    if (error) throw error
    return echo.infer(model, version, inputs)
  }
  server = await listen({ serving: { ...echo, infer } }, optionsSchema.parse({ port: 0, limits: { stopGraceMs: 200 } }))
  client = createClient({ url: server.url })
})
afterAll(() => server?.stop())
beforeEach(() => {
  Object.assign(flight, { now: 0, most: 0 })
  failing = () => undefined
  versions.length = 0
})

const valueOf = ({ x }: Tensors) => (x as Tensor & { data: Float32Array }).data[0] as number
const batch = (value: number): Tensors => ({ x: { dtype: 'float32', shape: [1], data: Float32Array.of(value) } })

describe('batches of rows', () => {
  it('are answered in their order, several at a time, by the version asked for', async () => {
    const values: number[] = []
    const batches = Array.from({ length: 40 }, (_, at) => batch(at))
    for await (const { outputs } of client.predict('echo', batches, { version: 1, atOnce: 3 }))
      values.push(valueOf(outputs))
    expect(values).toEqual(Array.from({ length: 40 }, (_, at) => at))
    expect(flight.most).toBeLessThanOrEqual(3)
    expect(new Set(versions)).toEqual(new Set(['1']))
  })

  it('are read no further than they are taken', async () => {
    let read = 0
    async function* batches() {
      for (; read < 100; read++) yield batch(read)
    }
    for await (const { outputs } of client.predict('echo', batches(), { atOnce: 4 })) {
      expect(read).toBeLessThanOrEqual(valueOf(outputs) + 4)
      if (valueOf(outputs) === 20) break
    }
    expect(read).toBeLessThan(30)
  })

  it('are asked again where the cloud was busy', async () => {
    let busy = 2
    // Known by its code alone: the class of it is the cloud's.
    const refusal = Object.assign(errors.MODEL_UNLOADED({ model: 'echo' }), { code: 'SERVING_BUSY', status: 429 })
    failing = (value) => (value === 3 && busy-- > 0 ? refusal : undefined)
    const values: number[] = []
    for await (const { outputs } of client.predict('echo', [1, 2, 3, 4].map(batch))) values.push(valueOf(outputs))
    expect(values).toEqual([1, 2, 3, 4])
  })

  it('fail at their place with what the cloud threw', async () => {
    failing = (value) => (value === 2 ? errors.RUN_FAILED({ reason: 'unlucky' }) : undefined)
    const values: number[] = []
    const all = async () => {
      for await (const { outputs } of client.predict('echo', [0, 1, 2, 3].map(batch))) values.push(valueOf(outputs))
    }
    await expect(all()).rejects.toMatchObject({ code: 'RUN_FAILED' })
    expect(values).toEqual([0, 1])
  })

  it('end when the caller says so', async () => {
    const leaving = new AbortController()
    const all = async () => {
      for await (const { outputs } of client.predict('echo', [0, 1, 2].map(batch), { signal: leaving.signal }))
        if (valueOf(outputs) === 0) leaving.abort(new Error('enough'))
    }
    await expect(all()).rejects.toThrow('enough')
  })
})
