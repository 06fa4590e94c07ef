import { describe, expect, it } from 'vitest'
import type { DataType } from '../contracts/tensor.js'
import { decodeInferRequest } from './request.js'

const spec = (dtype: DataType, shape: (number | null)[], name = 'x') => ({ name, dtype, shape })
const raw = (bytes: Uint8Array, ...inputs: ReturnType<typeof spec>[]) =>
  decodeInferRequest(bytes, 0, { inputs, outputs: [] })

describe('a raw binary request', () => {
  it.each<[(number | null)[], number[]]>([
    [
      [2, 2],
      [2, 2],
    ],
    [
      [null, 2],
      [2, 2],
    ],
    [[null], [4]],
    [
      [null, null],
      [1, 4],
    ],
    [
      [null, 2, null],
      [1, 2, 2],
    ],
  ])('of 16 bytes of FP32 for the shape %o has the shape %o', (shape, given) => {
    const { inputs, binaryOutputs } = raw(new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer), spec('float32', shape))
    expect(inputs.x).toEqual({ dtype: 'float32', shape: given, data: Float32Array.of(1, 2, 3, 4) })
    expect(binaryOutputs).toBe('all')
  })

  it('of BYTES is one element, all of the body', () => {
    const { inputs } = raw(new TextEncoder().encode('潮'), spec('string', [null]))
    expect(inputs.x).toEqual({ dtype: 'string', shape: [1], data: ['潮'] })
  })

  it.each([
    ['two inputs', [spec('float32', [4]), spec('float32', [4], 'y')]],
    ['none', []],
    ['another size', [spec('float32', [3])]],
    ['rows that end within', [spec('float32', [null, 3])]],
    ['rows of nothing', [spec('float32', [null, 0])]],
    ['three free dimensions', [spec('float32', [null, null, null])]],
    ['values that end within', [spec('float64', [null, 3])]],
    ['BOOL of other bytes', [spec('bool', [16])]],
    ['more BYTES than one', [spec('string', [2])]],
  ])('is refused by a model of %s', (_, inputs) => {
    expect(() =>
      raw(
        Uint8Array.from({ length: 16 }, () => 0xff),
        ...inputs,
      ),
    ).toThrowError(expect.objectContaining({ code: 'INPUT_REJECTED' }))
  })
})
