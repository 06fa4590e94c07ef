import { describe, expect, it } from 'vitest'
import type { Tensor, Tensors } from '../contracts/tensor.js'
import { numberToHalf } from '../runtime/half.js'
import { agree } from './compare.js'

const floats = (values: number[], shape = [values.length]): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
})
const strict = { abs: 0.01, rel: 0.1, top1: false }
const of = (y: Tensor): Tensors => ({ y })
const alike = (a: Tensor, b: Tensor, tolerance = strict) => agree(of(a), of(b), tolerance)

describe('two answers', () => {
  it('agree within the tolerance, absolute near 0 and relative elsewhere', () => {
    expect(alike(floats([0, 100]), floats([0.01, 110]))).toBe(true)
    expect(alike(floats([0, 100]), floats([0.02, 100]))).toBe(false)
    expect(alike(floats([0, 100]), floats([0, 111]))).toBe(false)
  })

  it('agree where both are not a number or the same infinity, and not otherwise', () => {
    expect(alike(floats([Number.NaN, Infinity]), floats([Number.NaN, Infinity]))).toBe(true)
    expect(alike(floats([Number.NaN]), floats([0]))).toBe(false)
    expect(alike(floats([Infinity]), floats([-Infinity]))).toBe(false)
    expect(alike(floats([Infinity]), floats([5]))).toBe(false)
  })

  it('agree by class where the largest of each row is the same', () => {
    const classes = { abs: 0, rel: 0, top1: true }
    expect(alike(floats([0.1, 0.9, 0.8, 0.2], [2, 2]), floats([0.4, 0.6, 0.6, 0.4], [2, 2]), classes)).toBe(true)
    expect(alike(floats([0.1, 0.9, 0.8, 0.2], [2, 2]), floats([0.4, 0.6, 0.4, 0.6], [2, 2]), classes)).toBe(false)
    // One number a row has no class.
    expect(alike(floats([1, 2], [2, 1]), floats([1, 3], [2, 1]), classes)).toBe(false)
  })

  it('of whole numbers and texts agree exactly', () => {
    const whole = (value: bigint): Tensor => ({ dtype: 'int64', shape: [1], data: BigInt64Array.of(value) })
    expect(alike(whole(2n ** 60n), whole(2n ** 60n))).toBe(true)
    expect(alike(whole(2n ** 60n), whole(2n ** 60n + 1n))).toBe(false)
    expect(alike({ dtype: 'string', shape: [1], data: ['a'] }, { dtype: 'string', shape: [1], data: ['b'] })).toBe(
      false,
    )
  })

  it('of half floats are compared as numbers', () => {
    const half = (value: number): Tensor => ({
      dtype: 'float16',
      shape: [1],
      data: Uint16Array.of(numberToHalf(value)),
    })
    expect(alike(half(1), half(1.05))).toBe(true)
    expect(alike(half(1), half(-1))).toBe(false)
  })

  it('differ in name, type, number of axes or size', () => {
    expect(agree({ a: floats([1]) }, { b: floats([1]) }, strict)).toBe(false)
    expect(agree({ a: floats([1]) }, { a: floats([1]), b: floats([1]) }, strict)).toBe(false)
    expect(alike(floats([1]), { dtype: 'float64', shape: [1], data: Float64Array.of(1) })).toBe(false)
    expect(alike(floats([1, 2]), floats([1, 2], [1, 2]))).toBe(false)
    expect(alike(floats([1, 2]), floats([1]))).toBe(false)
  })
})
