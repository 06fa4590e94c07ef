import { encodeInferRequest, type Tensors } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { oldBytesPerCall } from '@tideway/test/support/old-generation'
import { describe, expect, it } from 'vitest'
import { createFace } from '../face.js'
import { headersOf, type InferAsk } from './infer.js'

const echo = echoServing()
echo.takes(specOf('x', 'float32', [null, 4]))
const { infer } = createFace({ serving: echo })
const inputs: Tensors = { x: { dtype: 'float32', shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) } }
const binary = encodeInferRequest({ inputs })
const json = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] }
const { signal } = new AbortController()

function asking(body: Uint8Array, headers: Readonly<Record<string, string>>): InferAsk {
  const source: InferAsk['source'] = {
    header: (name) => headers[name],
    derive: (make) => make((name) => headers[name]),
    read: async (_, together) => together([body]),
  }
  return { target: { model: 'echo' }, source, signal, requestId: 'r' }
}

describe('a request leaves nothing to the old generation', () => {
  it.each<[string, InferAsk]>([
    ['in JSON', asking(Buffer.from(JSON.stringify(json)), { 'content-type': 'application/json' })],
    ['in binary', asking(binary.body, { 'inference-header-content-length': String(binary.headerBytes) })],
    [
      'with a time-out',
      asking(Buffer.from(JSON.stringify({ ...json, parameters: { timeout: 9e6 } })), {
        'content-type': 'application/json',
        'grpc-timeout': '9S',
      }),
    ],
  ])('%s', async (_, ask) => {
    expect(await oldBytesPerCall(async () => headersOf(await infer(ask)))).toBeLessThan(60)
  })
})
