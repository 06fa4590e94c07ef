import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeNode } from '../format/node.js'
import { floats, modelOf, runOnce } from './models.fixture.js'
import {
  type AffineScale,
  affineScale,
  dequantize,
  INT32,
  MIN_SCALE,
  quantize,
  roundHalfToEven,
  saturate,
  symmetricScale,
  UINT8,
  WEIGHT_RANGE,
} from './reference.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const float32 = (limits: { min?: number; max?: number } = {}) =>
  fc.float({ noNaN: true, noDefaultInfinity: true, ...limits })

/** The same values through the engine's QuantizeLinear and DequantizeLinear. */
function throughEngine(values: Float32Array, { scale, zeroPoint }: AffineScale): Promise<Float32Array> {
  const bytes = modelOf({
    input: [{ name: 'x', dtype: 'float32', shape: [null] }],
    output: { name: 'y', dtype: 'float32', shape: [null] },
    node: [makeNode('QuantizeLinear', ['x', 's', 'z'], ['q']), makeNode('DequantizeLinear', ['q', 's', 'z'], ['y'])],
    constants: { s: floats([], [scale]), z: { dtype: 'uint8', shape: [], data: Uint8Array.of(zeroPoint) } },
  })
  return runOnce(runtime, bytes, { x: floats([values.length], values) })
}

const throughReference = (values: Float32Array, scale: AffineScale) =>
  values.map((value) => dequantize(quantize(value, scale, UINT8), scale))

describe('the reference of quantization', () => {
  it.each([
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, 0],
    [-1.5, -2],
    [-2.5, -2],
    [0.49999999999999994, 0],
    [2.4, 2],
    [2.6, 3],
    [-2.6, -3],
  ])('rounds %d to %d: halves go to the even neighbour', (x, expected) => {
    expect(roundHalfToEven(x) + 0).toBe(expected)
  })

  it('saturates at both ends of a range', () => {
    const scale = { scale: 1, zeroPoint: 10 }
    expect([-1e9, -10, -11, 245, 246, 1e9].map((x) => quantize(x, scale, UINT8))).toEqual([0, 0, 0, 255, 255, 255])
    expect([INT32.min - 1, INT32.max + 1].map((x) => saturate(x, INT32))).toEqual([INT32.min, INT32.max])
  })

  it('gives a ReLU output zero point 0, and a range below zero the greatest one', () => {
    expect(affineScale(0, 10, UINT8)).toEqual({ scale: Math.fround(10 / 255), zeroPoint: 0 })
    expect(affineScale(3, 10, UINT8)).toEqual({ scale: Math.fround(10 / 255), zeroPoint: 0 })
    expect(affineScale(-10, -3, UINT8)).toEqual({ scale: Math.fround(10 / 255), zeroPoint: 255 })
  })

  it('gives scale 1 to a range of zero alone, and a normal scale to denormals and to the largest floats', () => {
    expect(affineScale(0, 0, UINT8)).toEqual({ scale: 1, zeroPoint: 0 })
    expect(symmetricScale(0, WEIGHT_RANGE)).toBe(1)
    expect(affineScale(0, 1e-42, UINT8)).toEqual({ scale: MIN_SCALE, zeroPoint: 0 })
    expect(symmetricScale(1e-42, WEIGHT_RANGE)).toBe(MIN_SCALE)
    const { scale } = affineScale(-3.4e38, 3.4e38, UINT8)
    expect(Number.isFinite(scale)).toBe(true)
    expect(scale * 255).toBeGreaterThan(6.79e38)
  })

  it('keeps zero exact and every value of the range within half a step, at any range', () => {
    const ranges = fc.tuple(
      float32({ min: -1e6, max: 1e6 }),
      float32({ min: -1e6, max: 1e6 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
    )
    fc.assert(
      fc.property(ranges, ([a, b, at]) => {
        const [min, max] = [Math.min(a, b, 0), Math.max(a, b, 0)]
        const scale = affineScale(min, max, UINT8)
        expect(dequantize(quantize(0, scale, UINT8), scale)).toBe(0)
        const value = Math.fround(min + at * (max - min))
        const back = dequantize(quantize(value, scale, UINT8), scale)
        // Half a step by rounding, half a step where the zero point was rounded, and float32's own error.
        expect(Math.abs(back - value)).toBeLessThanOrEqual(scale.scale * 1.001 + Math.abs(value) * 1e-6)
      }),
      { numRuns: 500, seed: 1 },
    )
  })

  it('agrees with ONNX Runtime, bit for bit, over random tensors and scales', async () => {
    const cases = fc.tuple(
      fc.array(float32({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 200 }),
      float32({ min: Math.fround(1e-3), max: 10 }),
      fc.integer(UINT8),
    )
    await fc.assert(
      fc.asyncProperty(cases, async ([list, scale, zeroPoint]) => {
        const values = Float32Array.from(list)
        const affine = { scale, zeroPoint }
        expect(await throughEngine(values, affine)).toEqual(throughReference(values, affine))
      }),
      { numRuns: 60, seed: 2 },
    )
  })

  it('agrees with ONNX Runtime at halves, zeros, denormals and beyond the range', async () => {
    const halves = Array.from({ length: 41 }, (_, i) => (i - 20) / 2)
    const values = Float32Array.from([...halves, 0, 1e-45, -1e-45, 1e-38, -1e-38, 1e30, -1e30, 3.4e38, -3.4e38])
    for (const zeroPoint of [0, 1, 128, 255]) {
      for (const scale of [1, 0.5, MIN_SCALE, 2 ** 60]) {
        const affine = { scale, zeroPoint }
        expect(await throughEngine(values, affine), `scale ${scale}`).toEqual(throughReference(values, affine))
      }
    }
  })
})
