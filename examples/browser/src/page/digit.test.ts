import { expect, it } from 'vitest'
import { SIDE } from '../shared.js'
import { digitOf, type Ink } from './digit.js'

const inkOf = (width: number, height: number, at: Ink['at']): Ink => ({ width, height, at })

/** The box and the centre of mass of an image, in pixels. */
function measure(digit: Float32Array) {
  const lit = [...digit.entries()].filter(([, value]) => value > 0.01)
  const [xs, ys] = [lit.map(([at]) => at % SIDE), lit.map(([at]) => Math.floor(at / SIDE))]
  const mass = lit.reduce((sum, [, value]) => sum + value, 0)
  const center = (places: number[]) => lit.reduce((sum, [, value], at) => sum + value * (places[at]! + 0.5), 0) / mass
  return {
    width: Math.max(...xs) - Math.min(...xs) + 1,
    height: Math.max(...ys) - Math.min(...ys) + 1,
    x: center(xs),
    y: center(ys),
  }
}

it('brings a drawing of any size and place into the middle, its longer side 20 pixels', () => {
  for (const [left, top, size] of [
    [10, 20, 60],
    [150, 100, 100],
    [0, 0, 280],
  ] as const) {
    const bar = inkOf(280, 280, (x, y) => Number(x >= left && x < left + size / 2 && y >= top && y < top + size))
    const { width, height, x, y } = measure(digitOf(bar)!)
    expect([width, height]).toEqual([10, 20])
    expect(x).toBeCloseTo(14, 1)
    expect(y).toBeCloseTo(14, 1)
  }
})

it('puts the centre of mass, not that of the box, into the middle', () => {
  const wedge = inkOf(100, 100, (x, y) => Number(x <= y))
  const { x, y } = measure(digitOf(wedge)!)
  expect(x).toBeCloseTo(14, 0)
  expect(y).toBeCloseTo(14, 0)
})

it('keeps grey where an edge runs through a pixel, and takes nothing from an empty drawing', () => {
  const half = digitOf(inkOf(40, 40, (x, y) => (x < 20 && y < 40 ? 0.5 : 0)))!
  expect(Math.max(...half)).toBeCloseTo(0.5)
  expect(digitOf(inkOf(40, 40, () => 0))).toBeUndefined()
})
