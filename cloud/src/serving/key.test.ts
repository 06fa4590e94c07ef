import type { Tensor, Tensors } from '@tideway/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { requestKey } from './key.js'

const floats = (...values: number[]): Tensor => ({
  dtype: 'float32',
  shape: [values.length],
  data: Float32Array.from(values),
})
const strings = (...data: string[]): Tensor => ({ dtype: 'string', shape: [data.length], data })

describe('the key of a request', () => {
  it.each<[string, Tensors, Tensors]>([
    ['names', { a: floats(1) }, { b: floats(1) }],
    ['which input has which values', { a: floats(1), b: floats(2) }, { a: floats(2), b: floats(1) }],
    ['values', { a: floats(1, 2) }, { a: floats(1, 3) }],
    ['the sign of zero', { a: floats(0) }, { a: floats(-0) }],
    ['shapes', { a: floats(1, 2) }, { a: { ...floats(1, 2), shape: [2, 1] } as Tensor }],
    [
      'types with the same bytes',
      { a: { dtype: 'int8', shape: [1], data: Int8Array.of(1) } },
      { a: { dtype: 'bool', shape: [1], data: Uint8Array.of(1) } },
    ],
    ['where one string ends', { a: strings('ab', 'c') }, { a: strings('a', 'bc') }],
    ['strings that look like lengths', { a: strings('1:', '') }, { a: strings('', '1:') }],
    ['halves of characters', { a: strings('\ud800') }, { a: strings('\ud801') }],
    ['where one input ends', { a: floats(1), b: floats(1, 1) }, { a: floats(1, 1), b: floats(1) }],
  ])('tells apart %s', (_, one, other) => {
    expect(requestKey('digest', one)).not.toBe(requestKey('digest', other))
  })

  it('tells apart NaN by their bits, and versions by their digests', () => {
    const nan = (bits: number): Tensors => ({
      a: { dtype: 'float32', shape: [1], data: new Float32Array(Uint32Array.of(bits).buffer) },
    })
    expect(requestKey('d', nan(0x7fc00000))).not.toBe(requestKey('d', nan(0x7fc00001)))
    expect(requestKey('d', nan(0x7fc00000))).toBe(requestKey('d', nan(0x7fc00000)))
    expect(requestKey('d', { a: floats(1) })).not.toBe(requestKey('e', { a: floats(1) }))
  })

  it('is of the values alone, wherever they lie and in whatever order the inputs come', () => {
    const view: Tensor = { dtype: 'float32', shape: [2], data: Float32Array.of(9, 1, 2, 9).subarray(1, 3) }
    expect(requestKey('d', { b: floats(3), a: view })).toBe(requestKey('d', { a: floats(1, 2), b: floats(3) }))
  })

  it('is the same only for the same requests', () => {
    const tensor = fc.oneof(
      fc.array(fc.constantFrom('', 'a', 'b', ':', '1:', '1:a'), { maxLength: 3 }).map((data) => strings(...data)),
      fc.array(fc.constantFrom(0, -0, 1), { maxLength: 3 }).map((values) => floats(...values)),
    )
    const request = fc.dictionary(fc.constantFrom('a', 'b', 'a","b'), tensor, { maxKeys: 2 })
    const text = (inputs: Tensors) =>
      Object.keys(inputs)
        .sort()
        .map((name) => {
          const { dtype, shape, data } = inputs[name] as Tensor
          const values = Array.from(data as ArrayLike<unknown>, (value) => (Object.is(value, -0) ? '-0' : value))
          return JSON.stringify([name, dtype, shape, values])
        })
        .join()
    fc.assert(
      fc.property(request, request, (one, other) => {
        expect(requestKey('d', one) === requestKey('d', other)).toBe(text(one) === text(other))
      }),
      { numRuns: 2_000 },
    )
  })
})
