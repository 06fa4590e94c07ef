import { describe, expect, it } from 'vitest'
import { halfToNumber, numberToHalf } from './half.js'

describe('float16', () => {
  it('comes back with the same bits from every number that it can hold', () => {
    const lost: number[] = []
    for (let bits = 0; bits < 0x10000; bits++) {
      const isNaNBits = (bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0
      if (!isNaNBits && numberToHalf(halfToNumber(bits)) !== bits) lost.push(bits)
    }
    expect(lost).toEqual([])
  })

  it('rounds to the nearest half, ties to even', () => {
    const lost: number[] = []
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [low, high] = [halfToNumber(bits), halfToNumber(bits + 1)]
      const middle = (low + high) / 2
      if (numberToHalf(middle) !== (bits % 2 === 0 ? bits : bits + 1)) lost.push(bits)
      if (numberToHalf(middle * (1 - 2 ** -40)) !== bits || numberToHalf(middle * (1 + 2 ** -40)) !== bits + 1)
        lost.push(bits)
    }
    expect(lost).toEqual([])
  })

  it.each([
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [2 ** -25, 0],
    [2 ** -25 * 1.01, 1],
    [2047.5 / 1024, 0x4000],
    [-1e9, 0xfc00],
  ])('rounds %d into the bits %d', (value, bits) => {
    expect(numberToHalf(value)).toBe(bits)
  })

  it('keeps signs, infinities and NaN', () => {
    expect([numberToHalf(-0), numberToHalf(Infinity), numberToHalf(-Infinity), numberToHalf(65_519.99)]).toEqual([
      0x8000, 0x7c00, 0xfc00, 0x7bff,
    ])
    expect(numberToHalf(65_520)).toBe(0x7c00)
    expect(halfToNumber(numberToHalf(Number.NaN))).toBeNaN()
    expect(numberToHalf(1e-9)).toBe(0)
  })
})
