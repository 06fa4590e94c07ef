import { describe, expect, it } from 'vitest'
import { bfloat16ToNumber, numberToBfloat16 } from './bfloat16.js'

describe('bfloat16', () => {
  it('comes back with the same bits from every number that it can hold', () => {
    const lost: number[] = []
    for (let bits = 0; bits < 0x10000; bits++) {
      const isNaNBits = (bits & 0x7f80) === 0x7f80 && (bits & 0x7f) !== 0
      if (!isNaNBits && numberToBfloat16(bfloat16ToNumber(bits)) !== bits) lost.push(bits)
    }
    expect(lost).toEqual([])
  })

  it('rounds to the nearest one, ties to even', () => {
    const lost: number[] = []
    for (let bits = 0; bits < 0x7f7f; bits++) {
      const middle = (bfloat16ToNumber(bits) + bfloat16ToNumber(bits + 1)) / 2
      if (numberToBfloat16(middle) !== (bits % 2 === 0 ? bits : bits + 1)) lost.push(bits)
      if (numberToBfloat16(middle * (1 - 2 ** -40)) !== bits || numberToBfloat16(middle * (1 + 2 ** -40)) !== bits + 1)
        lost.push(bits)
    }
    expect(lost).toEqual([])
  })

  // What ml_dtypes 0.5.4 makes of these float32 values.
  it.each([
    [1, 0x3f80],
    [1.00390625, 0x3f80],
    [1.01171875, 0x3f82],
    [-2.5, 0xc020],
    [3.1415927410125732, 0x4049],
    [9.99994610111476e-41, 0x1],
    [3.39617752923046e38, 0x7f80],
    [3.38999991291338e38, 0x7f7f],
    [6.0999998822808266e-5, 0x3880],
    [0.10000000149011612, 0x3dcd],
    [-0.3333333134651184, 0xbeab],
    [123456.7890625, 0x47f1],
    [9.999999350456404e-39, 0x6d],
    [4.596399092831832e-41, 0x1],
    [255.5, 0x4380],
  ])('rounds %d into the bits %d', (value, bits) => {
    expect(numberToBfloat16(value)).toBe(bits)
  })

  it('is rounded once, also where float32 lies between', () => {
    // As float32 this is the middle 1 + 2^-8 itself, which would go to the even 1.
    expect(numberToBfloat16(1 + 2 ** -8 + 2 ** -40)).toBe(0x3f81)
  })

  it('keeps signs, infinities and NaN', () => {
    expect([-0, Infinity, -Infinity, 5e-324].map(numberToBfloat16)).toEqual([0x8000, 0x7f80, 0xff80, 0])
    expect(bfloat16ToNumber(numberToBfloat16(Number.NaN))).toBeNaN()
  })
})
