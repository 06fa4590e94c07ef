import type { InferContext, Serving } from '@tideway/core'
import { type EchoServing, echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Rig, startRig } from '../rig.fixture.js'

let echo: EchoServing
let seen: (InferContext | undefined)[]
let rig: Rig | undefined

beforeEach(() => {
  echo = echoServing()
  echo.takes(specOf('x', 'float32'))
  seen = []
})
afterEach(() => rig?.stop())

/** Under a test: each request's unit is its key. */
async function start(options: Record<string, unknown> = {}): Promise<Rig> {
  const serving: Serving = {
    metadata: (...args) => echo.metadata(...args),
    async infer(model, version, inputs, context) {
      seen.push(context)
      const answer = await echo.infer(model, version, inputs)
      return context?.stickyKey === undefined ? answer : { ...answer, unit: context.stickyKey }
    },
  }
  rig = await startRig({ serving }, options)
  return rig
}

const body = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] }
// The second is written so that it goes the way of all routes.
const ways = ['/v2/models/echo/infer', '/v2/models/ech%6f/infer']

describe('an answer', () => {
  it.each(ways)('says which version gave it and by what its outcome is reported: %s', async (path) => {
    const server = await start()
    const plain = await server.call('POST', path, body)
    expect([plain.headers.get('x-tideway-version'), plain.headers.get('x-tideway-unit')]).toEqual(['3', null])
    const keyed = await server.call('POST', path, body, { 'X-Tideway-Key': 'user-1' })
    expect(keyed.headers.get('x-tideway-unit')).toBe('user-1')
    expect(seen.map((context) => context?.stickyKey)).toEqual([undefined, 'user-1'])
    // What names a request that has no key is what its answer is headed with.
    expect(seen[0]?.requestId).toBe(plain.headers.get('x-request-id'))
  })

  it('goes by the header that is configured', async () => {
    const server = await start({ stickyHeader: 'X-User' })
    await server.call('POST', ways[0] as string, body, { 'X-Tideway-Key': 'a', 'x-user': 'b' })
    expect(seen[0]?.stickyKey).toBe('b')
  })

  it.each(ways)('is a refusal for a key that is too long: %s', async (path) => {
    const server = await start()
    const refused = await server.call('POST', path, body, { 'X-Tideway-Key': 'k'.repeat(257) })
    expect(refused).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    expect(seen).toEqual([])
    expect((await server.call('POST', path, body, { 'X-Tideway-Key': 'k'.repeat(256) })).status).toBe(200)
  })
})
