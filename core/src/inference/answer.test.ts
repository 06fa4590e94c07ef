import { describe, expect, it } from 'vitest'
import type { Tensors } from '../contracts/tensor.js'
import { type AnswerForm, decodeInferAnswer, encodeInferAnswer, type InferAnswer } from './answer.js'
import { everyType } from './inference.fixture.js'

const answer = { model: 'digits', version: '3', outputs: everyType }
const all = { int64AsString: false }
const plain: Tensors = { a: { dtype: 'int8', shape: [1], data: Int8Array.of(1) } }

/** Of an answer that has nothing in binary. */
const encode = (given: InferAnswer, form: AnswerForm) => encodeInferAnswer(given, form) as string
const decode = (text: string) => decodeInferAnswer(new TextEncoder().encode(text))

describe('an inference answer', () => {
  it('carries tensors of every type', () => {
    const text = encode(answer, { int64AsString: true })
    expect(decode(text)).toEqual(answer)
  })

  it('is the document of the protocol, with the id of the request if it had one', () => {
    const outputs = [{ name: 'a', datatype: 'INT8', shape: [1], data: [1] }]
    const document = { model_name: 'm', model_version: '1', outputs }
    const given = { model: 'm', version: '1', outputs: plain }
    expect(JSON.parse(encode(given, all))).toEqual(document)
    expect(JSON.parse(encode(given, { ...all, id: '"7"' }))).toEqual({ ...document, id: '"7"' })
  })

  it('has 64-bit integers as numbers with all their digits, or as strings', () => {
    const outputs: Tensors = { n: { dtype: 'int64', shape: [2], data: BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n)) } }
    const given = { ...answer, outputs }
    expect(encode(given, all)).toContain('"data":[9223372036854775807,-9223372036854775808]')
    expect(encode(given, { int64AsString: true })).toContain('"data":["9223372036854775807","-9223372036854775808"]')
  })

  it('has NaN and infinities as the bare words that Triton writes, or null if the request says so', () => {
    const odd = [Number.NaN, Infinity, -Infinity, 1]
    const outputs: Tensors = {
      f: { dtype: 'float32', shape: [4], data: Float32Array.from(odd) },
      h: { dtype: 'float16', shape: [4], data: Uint16Array.of(0x7e00, 0x7c00, 0xfc00, 0x3c00) },
      b: { dtype: 'bfloat16', shape: [4], data: Uint16Array.of(0x7fc0, 0x7f80, 0xff80, 0x3f80) },
    }
    const words = encode({ ...answer, outputs }, all)
    expect(words.match(/"data":\[NaN,Infinity,-Infinity,1\]/g)).toHaveLength(3)
    expect(decode(words).outputs).toEqual(outputs)
    const nulls = encode({ ...answer, outputs }, { ...all, nonFiniteAsNull: true })
    expect(nulls.match(/"data":\[null,null,null,1\]/g)).toHaveLength(3)
    const read = decode(nulls).outputs
    expect(read.f?.data).toEqual(Float32Array.of(Number.NaN, Number.NaN, Number.NaN, 1))
    expect(read.h?.data).toEqual(Uint16Array.of(0x7e00, 0x7e00, 0x7e00, 0x3c00))
  })

  it('has only the outputs asked for, in that order, and names those that the model lacks', () => {
    const text = encode(answer, { ...all, outputs: ['int8', 'bool'] })
    expect(Object.keys(decode(text).outputs)).toEqual(['int8', 'bool'])
    const outputs = ['int8', 'none', 'toString']
    expect(() => encode(answer, { ...all, outputs })).toThrowError(
      expect.objectContaining({
        code: 'INPUT_REJECTED',
        data: {
          what: 'the inference request',
          issues: [
            'outputs.1.name: the model has no output "none"',
            'outputs.2.name: the model has no output "toString"',
          ],
        },
      }),
    )
  })

  it.each<[string, unknown, string[]]>([
    ['a text', 'no', ['(root)']],
    ['an empty object', {}, ['model_name', 'model_version', 'outputs']],
    [
      'null for an integer',
      { model_name: 'm', model_version: '1', outputs: [{ name: 'n', datatype: 'INT8', shape: [1], data: [null] }] },
      ['outputs.0.data.0'],
    ],
  ])('is not %s', (_, body, fields) => {
    const issues = fields.map((field) => expect.stringContaining(`${field}: `) as string)
    expect(() => decode(JSON.stringify(body))).toThrowError(
      expect.objectContaining({ code: 'INPUT_REJECTED', data: { what: 'the inference answer', issues } }),
    )
  })
})
