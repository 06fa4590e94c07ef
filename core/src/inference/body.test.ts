import { describe, expect, it } from 'vitest'
import type { Tensor } from '../contracts/tensor.js'
import type { TidewayError } from '../errors/error.js'
import { decodeInferAnswer, encodeInferAnswer } from './answer.js'
import { everyType } from './inference.fixture.js'
import { decodeInferRequest, encodeInferRequest } from './request.js'

const utf8 = new TextEncoder()
const x = { name: 'x', datatype: 'FP32', shape: [2] }
const binary = (size: number) => ({ parameters: { binary_data_size: size } })
const form = { int64AsString: false }

/** A body of this JSON and these bytes, with the JSON's length; `pad` spaces before the bytes. */
function bodyOf(json: unknown, bytes: Uint8Array, pad = 0): readonly [Uint8Array, number] {
  const head = utf8.encode(JSON.stringify(json) + ' '.repeat(pad))
  return [Uint8Array.of(...head, ...bytes), head.byteLength]
}

/** The fields that are named in the refusal. */
function refusal(body: Uint8Array, headerBytes?: number): string[] {
  try {
    decodeInferRequest(body, headerBytes)
  } catch (error) {
    const { code, data } = error as TidewayError<string, { issues: string[] }>
    expect(code).toBe('INPUT_REJECTED')
    return data.issues.map((issue) => issue.slice(0, issue.indexOf(': ')))
  }
  throw new Error('it was taken')
}

describe('a request in binary', () => {
  it('carries tensors of every type, and asks for outputs in binary', () => {
    const { body, headerBytes } = encodeInferRequest({ id: '7', inputs: everyType, outputs: ['y'] })
    const request = decodeInferRequest(body, headerBytes)
    expect(request).toMatchObject({ id: '7', outputs: ['y'], binaryOutputs: new Set(['y']) })
    expect(request.inputs).toEqual(everyType)
  })

  it('is read without a copy where it is aligned, and right where it is not', () => {
    const given = Float32Array.of(1.5, -2)
    for (let pad = 0; pad < 4; pad++) {
      const [body, header] = bodyOf({ inputs: [{ ...x, ...binary(8) }] }, new Uint8Array(given.buffer), pad)
      const data = decodeInferRequest(body, header).inputs.x?.data as Float32Array
      expect(data).toEqual(given)
      expect(data.buffer === body.buffer).toBe(header % 4 === 0)
    }
  })

  it('may mix inputs in binary and in JSON, in their order', () => {
    const inputs = [
      { ...x, name: 'a', shape: [1], datatype: 'UINT16', ...binary(2) },
      { ...x, name: 'b', data: [1, 2] },
      { ...x, name: 'c', shape: [2], datatype: 'BOOL', ...binary(2) },
    ]
    const request = decodeInferRequest(...bodyOf({ inputs }, Uint8Array.of(0x34, 0x12, 1, 0)))
    expect(Object.values(request.inputs).map(({ data }) => [...data])).toEqual([[0x1234], [1, 2], [1, 0]])
  })

  it('has BYTES as text with its length before it, a byte order mark and nothing at all included', () => {
    const string: Tensor = { dtype: 'string', shape: [4], data: ['\ufeffa', '', '潮', '\0'] }
    const { body, headerBytes } = encodeInferRequest({ inputs: { string } })
    expect(decodeInferRequest(body, headerBytes).inputs).toEqual({ string })
    expect([...body.subarray(headerBytes, headerBytes + 8)]).toEqual([4, 0, 0, 0, 0xef, 0xbb, 0xbf, 0x61])
  })

  it.each([
    ['a size that is none', binary(-1), [], ['inputs.0.parameters.binary_data_size', 'inputs']],
    ['a size that is a text', { parameters: { binary_data_size: '8' } }, [], undefined],
    ['fewer bytes than it says', binary(8), { length: 7 }, ['inputs.0.parameters.binary_data_size']],
    ['more bytes than it says', binary(8), { length: 9 }, ['inputs']],
    ['another size than its shape', binary(4), { length: 4 }, ['inputs.0.parameters.binary_data_size']],
    ['data beside its size', { ...binary(8), data: [1, 2] }, { length: 8 }, ['inputs.0.data']],
    ['neither data nor size', {}, [], ['inputs.0.data']],
    ['a size beyond all bytes', binary(2 ** 53 - 1), { length: 8 }, ['inputs.0.parameters.binary_data_size']],
    ['a BOOL of 2', { datatype: 'BOOL', ...binary(2) }, [1, 2], ['inputs.0.parameters.binary_data_size']],
    ['a shape too large', { ...binary(8), shape: [2 ** 31, 2] }, { length: 8 }, ['inputs.0.shape']],
    ['BYTES of no length', { datatype: 'BYTES', ...binary(3) }, [1, 0, 0], ['inputs.0.parameters.binary_data_size']],
    ['BYTES cut off', { datatype: 'BYTES', ...binary(5) }, [2, 0, 0, 0, 65], ['inputs.0.parameters.binary_data_size']],
    ['too few BYTES', { datatype: 'BYTES', ...binary(4) }, [0, 0, 0, 0], ['inputs.0.parameters.binary_data_size']],
    [
      'BYTES that are not UTF-8',
      { datatype: 'BYTES', ...binary(10) },
      [1, 0, 0, 0, 0xff, 1, 0, 0, 0, 65],
      ['inputs.0.parameters.binary_data_size'],
    ],
  ])('with %s is refused by the name of the field', (_, input, bytes, fields) => {
    const named = refusal(...bodyOf({ inputs: [{ ...x, ...input }] }, Uint8Array.from(bytes as ArrayLike<number>)))
    expect(named).toEqual(fields?.slice(0, named.length) ?? ['inputs.0.parameters.binary_data_size'])
  })

  it('of which several inputs are bad names them all', () => {
    const inputs = [
      { ...x, name: 'a', ...binary(4) },
      { ...x, name: 'b', datatype: 'FP7', ...binary(8) },
      { ...x, name: 'c', ...binary(80) },
    ]
    const field = (i: number) => `inputs.${i}.parameters.binary_data_size`
    expect(refusal(...bodyOf({ inputs }, new Uint8Array(12)))).toEqual([field(0), 'inputs.1.datatype', field(2)])
  })

  it('whose JSON would be longer than its body is refused by the name of the header', () => {
    const [body] = bodyOf({ inputs: [{ ...x, data: [1, 2] }] }, Uint8Array.of())
    expect(refusal(body, body.byteLength + 1)).toEqual(['Inference-Header-Content-Length'])
    expect(decodeInferRequest(body, body.byteLength).inputs.x?.data).toEqual(Float32Array.of(1, 2))
  })
})

describe('a request in JSON', () => {
  const decode = (text: string) => decodeInferRequest(utf8.encode(text)).inputs
  const list = (datatype: string, data: string) =>
    `{"inputs":[{"name":"n","shape":[2],"datatype":"${datatype}","data":${data}}]}`

  it('has 64-bit integers as numbers with all their digits', () => {
    const ends = '[-9223372036854775808,9223372036854775807]'
    expect(decode(list('INT64', ends)).n?.data).toEqual(BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n))
    expect(
      decode(list('UINT64', '[[18446744073709551615],[9007199254740993]]').replace('[2]', '[2,1]')).n?.data,
    ).toEqual(BigUint64Array.of(2n ** 64n - 1n, 2n ** 53n + 1n))
    // The same digits are a float elsewhere.
    expect(decode(list('FP64', '[9007199254740993,1]')).n?.data).toEqual(Float64Array.of(2 ** 53, 1))
  })

  it.each([
    ['INT64', '[9223372036854775808,1]', ['inputs.0.data.0']],
    ['UINT64', '[-1,18446744073709551616]', ['inputs.0.data.0', 'inputs.0.data.1']],
    ['INT64', '[1e18,9007199254740993.0]', ['inputs.0.data.0', 'inputs.0.data.1']],
    ['INT64', '[NaN,Infinity]', ['inputs.0.data.0', 'inputs.0.data.1']],
    ['FP32', '[NaN,null]', ['inputs.0.data.1']],
    ['FP32', '[Infinity,1e39]', ['inputs.0.data.1']],
    ['FP64', '[NaN,1e999]', ['inputs.0.data.1']],
    ['BOOL', '[NaN,null]', ['inputs.0.data.0', 'inputs.0.data.1']],
    ['BYTES', '[NaN,"NaN"]', ['inputs.0.data.0']],
  ])('of %s is not %s', (datatype, data, fields) => {
    expect(refusal(utf8.encode(list(datatype, data)))).toEqual(fields)
  })

  it.each([
    ['FP64', Float64Array.of(Number.NaN, -Infinity)],
    ['FP32', Float32Array.of(Number.NaN, -Infinity)],
    ['FP16', Uint16Array.of(0x7e00, 0xfc00)],
    ['BF16', Uint16Array.of(0x7fc0, 0xff80)],
  ])('of %s may have NaN and infinities', (datatype, data) => {
    expect(decode(list(datatype, '[NaN,-Infinity]')).n?.data).toEqual(data)
  })

  it('that is not UTF-8 is no JSON', () => {
    expect(() => decodeInferRequest(Uint8Array.of(0x22, 0xff, 0x22))).toThrowError(
      expect.objectContaining({ code: 'JSON_INVALID' }),
    )
  })
})

describe('an answer in binary', () => {
  const answer = { model: 'm', version: '3', outputs: everyType }

  it('carries tensors of every type', () => {
    const body = encodeInferAnswer(answer, { ...form, binaryOutputs: 'all' })
    if (typeof body === 'string') throw new Error('it is text')
    expect(body.headerBytes % 8).toBe(0)
    expect(decodeInferAnswer(body.body, body.headerBytes)).toEqual(answer)
  })

  it('has in binary only what was asked for in binary, and says how large it is', () => {
    const body = encodeInferAnswer(answer, {
      ...form,
      outputs: ['int64', 'bool'],
      binaryOutputs: new Set(['int64']),
    })
    if (typeof body === 'string') throw new Error('it is text')
    const json = JSON.parse(new TextDecoder().decode(body.body.subarray(0, body.headerBytes))) as unknown
    expect(json).toEqual({
      model_name: 'm',
      model_version: '3',
      outputs: [
        { name: 'int64', datatype: 'INT64', shape: [2], parameters: { binary_data_size: 16 } },
        { name: 'bool', datatype: 'BOOL', shape: [2], data: [false, true] },
      ],
    })
    expect(body.body.byteLength).toBe(body.headerBytes + 16)
  })

  it.each([
    [{ binary_data_output: true }, [{ name: 'a' }, { name: 'b', parameters: { binary_data: false } }], new Set(['a'])],
    [{ binary_data_output: false }, [{ name: 'a', parameters: { binary_data: true } }, { name: 'b' }], new Set(['a'])],
    [{ binary_data_output: true }, undefined, 'all'],
    [{ binary_data_output: true }, [{ name: 'a', parameters: { binary_data: false } }], undefined],
    [undefined, [{ name: 'a' }], undefined],
  ])('is asked for by %o and %o', (parameters, outputs, wanted) => {
    const [body, header] = bodyOf({ inputs: [{ ...x, data: [1, 2] }], parameters, outputs }, Uint8Array.of())
    expect(decodeInferRequest(body, header).binaryOutputs).toEqual(wanted)
  })
})
