import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { liftNumbers } from './number-lists.js'
import { decodeInferRequest } from './request.js'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const request = (data: string, shape: readonly number[], datatype = 'FP32'): Uint8Array =>
  bytesOf(`{"inputs":[{"name":"x","datatype":"${datatype}","shape":[${shape.join()}],"data":${data}}]}`)
const dataOf = (bytes: Uint8Array): unknown => decodeInferRequest(bytes).inputs.x?.data

/** Numbers as JSON may write them: signs, points, exponents, and any number of digits. */
const digits = (min: number, max: number) =>
  fc.array(fc.integer({ min: 0, max: 9 }), { minLength: min, maxLength: max }).map((list) => list.join(''))
const written = fc
  .tuple(
    fc.boolean(),
    fc.oneof(
      fc.constant('0'),
      digits(1, 25).map((text) => text.replace(/^0+(?=.)/, '')),
    ),
    fc.option(digits(1, 25)),
    fc.option(fc.tuple(fc.constantFrom('e', 'E', 'e+', 'e-'), digits(1, 2))),
  )
  .map(([minus, whole, fraction, exponent]) =>
    [minus ? '-' : '', whole, fraction === null ? '' : `.${fraction}`, exponent?.join('') ?? ''].join(''),
  )
const space = fc.constantFrom('', '', '', ' ', '\n', '\t \r')

describe('numbers in JSON', () => {
  it('are the doubles that JSON.parse reads, or within the stated bound where they are said to be rounded', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(space, written, space), { minLength: 1 }), (items) => {
        const text = `[${items.map((item) => item.join('')).join(',')}]`
        const lifted = liftNumbers(bytesOf(`{"inputs":[{"data":${text}}]}`))
        const expected = JSON.parse(text) as number[]
        const [list] = lifted?.lists ?? []
        expect(list?.dims).toEqual([expected.length])
        if (!list?.isRounded) {
          expect([...(list?.values ?? [])]).toEqual(expected)
          return
        }
        for (const [i, value] of expected.entries())
          expect(Math.abs((list.values[i] as number) - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -49)
      }),
      { numRuns: 2000 },
    )
  })

  it('become the FP32 and FP64 that Node rounds them to, with as many digits as they like', () => {
    const doubles = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.float({ noNaN: true, noDefaultInfinity: true }),
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(doubles.map(String), written), { minLength: 1 }), (items) => {
        const values = items.map(Number)
        const data = `[${items.join()}]`
        const isSingle = values.every((value) => Number.isFinite(Math.fround(value)))
        if (isSingle) expect(dataOf(request(data, [items.length]))).toEqual(Float32Array.from(values))
        if (values.every(Number.isFinite))
          expect(dataOf(request(data, [items.length], 'FP64'))).toEqual(Float64Array.from(values))
      }),
      { numRuns: 2000 },
    )
  })

  it('half way between two FP32 are rounded as their double is, however many digits they have', () => {
    // 1 + 2^-24 is half way, and goes to even.
    expect(dataOf(request('[1.000000059604644775390625]', [1]))).toEqual(Float32Array.of(1))
    expect(dataOf(request('[1.00000005960464477539062500001]', [1]))).toEqual(Float32Array.of(1))
    expect(dataOf(request('[1.0000000596046449]', [1]))).toEqual(
      Float32Array.of(Math.fround(Number('1.0000000596046449'))),
    )
  })

  it.each(['01', '-', '+1', '1.', '.5', '1e', '1e+', '0x1', '1 2', '--1', '1..2', 'nul', '1,', ',1', '[1]]'])(
    'that are none are refused: %s',
    (text) => {
      expect(() => decodeInferRequest(request(`[${text}]`, [1]))).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^(JSON_INVALID|INPUT_REJECTED)$/) }),
      )
    },
  )
})

describe('lists of numbers', () => {
  it('are taken nested as their shape says', () => {
    expect(dataOf(request('[ [1, 2,3] ,[4,5 ,6]]', [2, 3], 'INT32'))).toEqual(Int32Array.of(1, 2, 3, 4, 5, 6))
  })

  it.each(['[[1,2],[3]]', '[[1,2],3]', '[[[1,2]]]', '[[1,2,3,4]]'])('of another shape are named: %s', (data) => {
    expect(() => decodeInferRequest(request(data, [2, 2]))).toThrow(expect.objectContaining({ code: 'INPUT_REJECTED' }))
  })

  it('are those of the inputs alone: neither text nor other fields of that name are touched', () => {
    const text = `{"id":"\\"data\\":[1]","parameters":{"data":[7]},"outputs":[],"inputs":[
      {"name":"data","parameters":{"data":{"data":[8]}},"datatype":"FP32","data":[1.5],"shape":[1]},
      {"name":"y","datatype":"FP32","shape":[1],"data":[9],"data":[2.5]}]}`
    const { id, inputs } = decodeInferRequest(bytesOf(text))
    expect(id).toBe('"data":[1]')
    expect(inputs.data?.data).toEqual(Float32Array.of(1.5))
    expect(inputs.y?.data).toEqual(Float32Array.of(2.5))
  })

  it('beside which stands more are no JSON', () => {
    for (const data of ['[1]5', '[1][2]', '5[1]', '[1]"a"'])
      expect(() => decodeInferRequest(request(data, [1]))).toThrow(expect.objectContaining({ code: 'JSON_INVALID' }))
  })

  it('are no places in themselves: a number in their stead is refused', () => {
    const text =
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]},{"name":"y","datatype":"FP32","shape":[1],"data":0}]}'
    expect(() => decodeInferRequest(bytesOf(text))).toThrow(expect.objectContaining({ code: 'INPUT_REJECTED' }))
  })

  it('of one request do not change when the next is read', () => {
    const first = dataOf(request('[1,2]', [2], 'FP64'))
    dataOf(request('[3,4]', [2], 'FP64'))
    expect(first).toEqual(Float64Array.of(1, 2))
  })

  it('of a million values are read, and more', () => {
    const count = 1_100_000
    const data = dataOf(request(`[${Array.from({ length: count }, (_, i) => i % 100).join()}]`, [count], 'UINT8'))
    expect(data).toHaveLength(count)
    expect((data as Uint8Array)[count - 1]).toBe((count - 1) % 100)
  })

  it('end where the body does, without reading beyond it', () => {
    const whole = request('[1,2,3]', [3])
    for (let end = 0; end < whole.length; end++)
      expect(() => decodeInferRequest(whole.subarray(0, end))).toThrow(
        expect.objectContaining({ code: 'JSON_INVALID' }),
      )
  })
})
