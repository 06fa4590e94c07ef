import { deflateSync, gzipSync } from 'node:zlib'
import { decodeInferAnswer, encodeInferRequest, type Tensor, type Tensors } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Rig, startRig } from '../rig.fixture.js'

const LENGTH = 'Inference-Header-Content-Length'
const serving = echoServing()
let rig: Rig

beforeAll(async () => {
  rig = await startRig({ serving }, { limits: { maxInferBodyBytes: 4 * 1024 ** 2 } })
})
afterAll(() => rig?.stop())

/** A tensor of every type. */
const tensors: Tensors = {
  f4: { dtype: 'float32', shape: [2], data: Float32Array.of(Number.NaN, 2 ** 100) },
  f8: { dtype: 'float64', shape: [1], data: Float64Array.of(Math.PI) },
  f2: { dtype: 'float16', shape: [1], data: Uint16Array.of(0x3c01) },
  bf: { dtype: 'bfloat16', shape: [1], data: Uint16Array.of(0x3f81) },
  i1: { dtype: 'int8', shape: [3], data: Int8Array.of(-128, 0, 127) },
  u1: { dtype: 'uint8', shape: [1], data: Uint8Array.of(255) },
  i2: { dtype: 'int16', shape: [1], data: Int16Array.of(-32_768) },
  u2: { dtype: 'uint16', shape: [1], data: Uint16Array.of(65_535) },
  i4: { dtype: 'int32', shape: [1], data: Int32Array.of(-(2 ** 31)) },
  u4: { dtype: 'uint32', shape: [1], data: Uint32Array.of(2 ** 32 - 1) },
  i8: { dtype: 'int64', shape: [1], data: BigInt64Array.of(2n ** 63n - 1n) },
  u8: { dtype: 'uint64', shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
  b: { dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) },
  s: { dtype: 'string', shape: [2], data: ['', '潮'] },
}
const specs = Object.entries(tensors).map(([name, { dtype }]) => specOf(name, dtype))

async function post(body: BodyInit, headers: Record<string, string>, path = '/v2/models/echo/infer') {
  const response = await fetch(rig.url + path, { method: 'POST', headers, body })
  const bytes = new Uint8Array(await response.arrayBuffer())
  const length = response.headers.get(LENGTH)
  const json = JSON.parse(new TextDecoder().decode(length === null ? bytes : bytes.subarray(0, Number(length))))
  return { status: response.status, headers: response.headers, bytes, length, json: json as Record<string, unknown> }
}

function send({ headerBytes, body }: ReturnType<typeof encodeInferRequest>, path?: string) {
  return post(body, { 'Content-Type': 'application/octet-stream', [LENGTH]: String(headerBytes) }, path)
}

describe('binary tensors', () => {
  it.each(['/v2/models/echo/infer', '/v2/models/echo/versions/1/infer'])(
    'of every type go through %s both ways',
    async (path) => {
      serving.takes(...specs)
      const { status, headers, bytes, length } = await send(encodeInferRequest({ id: 'r', inputs: tensors }), path)
      expect([status, headers.get('content-type')]).toEqual([200, 'application/octet-stream'])
      expect(decodeInferAnswer(bytes, Number(length)).outputs).toEqual(tensors)
    },
  )

  it('reach the model without a copy, also behind JSON of any length', async () => {
    const shared: boolean[] = []
    const watched = await startRig({
      serving: {
        ...serving,
        async infer(_model, _version, inputs) {
          const { buffer } = inputs.x!.data as Float64Array
          // The body and what aligns it; a copy would hold the tensor alone.
          shared.push(buffer.byteLength > 16 && (inputs.x!.data as Float64Array)[1] === 2)
          return { version: (await serving.metadata('echo')).version, outputs: inputs }
        },
      },
    })
    for (let length = 1; length <= 9; length++) {
      const x = { name: 'x', datatype: 'FP64', shape: [2], parameters: { binary_data_size: 16 } }
      const json = Buffer.from(JSON.stringify({ id: 'i'.repeat(length), inputs: [x] }))
      const body = Buffer.concat([json, Buffer.from(Float64Array.of(1, 2).buffer)])
      const response = await fetch(`${watched.url}/v2/models/echo/infer`, {
        method: 'POST',
        headers: { [LENGTH]: String(json.byteLength) },
        body,
      })
      expect(response.status).toBe(200)
    }
    await watched.stop()
    expect(shared).toEqual(Array(9).fill(true))
  })

  it('come in JSON and in binary as each output asks for', async () => {
    serving.takes(specOf('i4', 'int32'), specOf('s', 'string'))
    const inputs = [
      { name: 'i4', datatype: 'INT32', shape: [2], data: [1, -1] },
      { name: 's', datatype: 'BYTES', shape: [1], data: ['a'] },
    ]
    const outputs = [{ name: 's', parameters: { binary_data: false } }, { name: 'i4' }]
    const body = JSON.stringify({ id: '42', inputs, outputs, parameters: { binary_data_output: true } })
    const answer = await post(body, { 'Content-Type': 'application/json' })
    expect(answer.json).toEqual({
      model_name: 'echo',
      model_version: '3',
      id: '42',
      outputs: [
        { name: 's', datatype: 'BYTES', shape: [1], data: ['a'] },
        { name: 'i4', datatype: 'INT32', shape: [2], parameters: { binary_data_size: 8 } },
      ],
    })
    expect([...answer.bytes.subarray(Number(answer.length))]).toEqual([1, 0, 0, 0, 255, 255, 255, 255])
    expect(answer.headers.get('content-length')).toBe(String(Number(answer.length) + 8))
  })

  it('are answered in JSON alone, without the header, where no output is asked for in binary', async () => {
    serving.takes(specOf('x', 'int8'))
    const inputs = [{ name: 'x', datatype: 'INT8', shape: [1], parameters: { binary_data_size: 1 } }]
    const json = Buffer.from(JSON.stringify({ inputs }))
    const answer = await post(Buffer.concat([json, Buffer.of(7)]), { [LENGTH]: String(json.byteLength) })
    expect([answer.length, answer.headers.get('content-type')]).toEqual([null, 'application/json'])
    expect(answer.json).toMatchObject({ outputs: [{ data: [7] }] })
  })

  it('may be the whole body', async () => {
    serving.takes(specOf('x', 'float32', [null, 2]))
    const body = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)
    const { bytes, length } = await post(body, { [LENGTH]: '0' })
    const x: Tensor = { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }
    expect(decodeInferAnswer(bytes, Number(length)).outputs).toEqual({ x })
    expect(await post(body, { [LENGTH]: '0' }, '/v2/models/none/infer')).toMatchObject({ status: 404 })
  })
})

describe('a bad request in binary', () => {
  const json = JSON.stringify({ inputs: [{ name: 'x', datatype: 'INT8', shape: [1], data: [1] }] })

  it.each([String(json.length + 1), '-1', '1e3', 'x', '', '9'.repeat(16), '8, 8', '0x10'])(
    'whose header length is "%s" is a 400 that names the header',
    async (length) => {
      serving.takes(specOf('x', 'int8'))
      const answer = await post(Buffer.from(json), { [LENGTH]: length })
      expect(answer).toMatchObject({ status: 400, json: { code: 'INPUT_REJECTED' } })
      expect(answer.json.error).toContain(LENGTH)
    },
  )

  it('without the header is told which input wants bytes', async () => {
    const inputs = [{ name: 'x', datatype: 'INT8', shape: [1], parameters: { binary_data_size: 1 } }]
    const answer = await post(JSON.stringify({ inputs }), { 'Content-Type': 'application/json' })
    expect(answer).toMatchObject({ status: 400, json: { code: 'INPUT_REJECTED' } })
    expect(answer.json.error).toContain('inputs.0.parameters.binary_data_size')
  })

  it('over the limit is a 413, of another type a 415', async () => {
    const large = await post(new Uint8Array(4 * 1024 ** 2 + 1), { [LENGTH]: '10' })
    expect(large).toMatchObject({ status: 413, json: { code: 'TOO_LARGE' } })
    const text = await post(json, { 'Content-Type': 'text/plain' })
    expect(text).toMatchObject({ status: 415, json: { code: 'CONTENT_TYPE_UNSUPPORTED' } })
  })

  it('without a type is taken from a client and refused from a page of another origin', async () => {
    serving.takes(specOf('x', 'int8'))
    expect((await post(Buffer.from(json), {})).status).toBe(200)
    expect((await post(Buffer.from(json), { Origin: 'http://evil.example' })).status).toBe(415)
  })
})

describe('a compressed request', () => {
  const { body, headerBytes } = encodeInferRequest({ inputs: tensors })
  const compressed = (bytes: Uint8Array<ArrayBuffer>, encoding: string) =>
    post(bytes, { 'Content-Encoding': encoding, [LENGTH]: String(headerBytes) })

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ] as const)('with %s is one of the tensors that it holds', async (encoding, compress) => {
    serving.takes(...specs)
    const { bytes, length } = await compressed(new Uint8Array(compress(body)), encoding)
    expect(decodeInferAnswer(bytes, Number(length)).outputs).toEqual(tensors)
  })

  it('that becomes larger than the limit is refused before it does', async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(64 * 1024 ** 2)))
    expect(await compressed(bomb, 'gzip')).toMatchObject({ status: 413, json: { code: 'TOO_LARGE' } })
  })

  it('that is none, or is cut off, is refused, and one that nobody reads, too', async () => {
    const cut = new Uint8Array(gzipSync(body).subarray(0, 40))
    for (const bytes of [body, cut])
      expect(await compressed(bytes, 'gzip')).toMatchObject({ status: 400, json: { code: 'BODY_ENCODING_INVALID' } })
    const brotli = await compressed(body, 'br')
    expect(brotli).toMatchObject({ status: 415, json: { code: 'CONTENT_ENCODING_UNSUPPORTED' } })
  })
})
