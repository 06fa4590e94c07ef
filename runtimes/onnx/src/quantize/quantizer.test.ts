import type { Tensor } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeNode } from '../format/node.js'
import { readModel } from '../format/read.js'
import { toTensor } from '../format/tensor.js'
import { classifier, denseModel, floats, modelOf, normal, runOnce, uniform } from './models.fixture.js'
import { createInt8Quantizer } from './quantizer.js'
import type { AffineScale } from './reference.js'
import { interpret } from './static/interpreter.fixture.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const quantizer = createInt8Quantizer()
const operators = createInt8Quantizer({ form: 'operators' })
const int8 = (bytes: Uint8Array, x: Tensor) => quantizer.quantize(bytes, { x }, runtime, { precision: 'int8' })

/** Scale and zero point that a tensor of the float model is converted with. */
function activation(onnx: Uint8Array, name: string): AffineScale {
  const graph = readModel(onnx).graph
  const node = graph?.node.find(({ opType, input }) => opType === 'QuantizeLinear' && input[0] === name)
  const value = (place: number): number => {
    const tensor = graph?.initializer.find((item) => item.name === node?.input[place])
    return tensor === undefined ? Number.NaN : Number(toTensor(tensor).data[0])
  }
  return { scale: value(1), zeroPoint: value(2) }
}

/** What a quantized file must answer, by integers alone. */
async function reference(bytes: Uint8Array, x: Tensor, input: Tensor): Promise<Float64Array> {
  const { onnx } = await operators.quantize(bytes, { x }, runtime, { precision: 'int8' })
  const { data } = interpret(onnx, { x: input }).get('y') ?? {}
  if (data === undefined) throw new Error('the file answers y')
  return data
}

function expectClose(actual: Float32Array, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length)
  for (const [i, value] of Array.from(expected).entries())
    expect(Math.abs((actual[i] ?? NaN) - value), `at ${i}`).toBeLessThanOrEqual(tolerance)
}

const peak = (values: ArrayLike<number>) =>
  Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0)

describe('the int8 quantizer', () => {
  it('gives a graph that computes what the integer reference computes, over random layers and inputs', async () => {
    const sizes = fc.tuple(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 1, max: 20 }),
    )
    const layers = fc.tuple(
      sizes,
      fc.integer({ min: 1, max: 2 ** 31 }),
      fc.constantFrom(0, 0.01, 1, 100),
      fc.constantFrom(-3, 0, 3),
    )
    await fc.assert(
      fc.asyncProperty(layers, async ([[rows, inner, outer], seed, biasSize, shift]) => {
        const random = uniform(seed)
        const x = normal(rows * inner, 1, random).map((value) => value + shift)
        const w = floats([inner, outer], normal(inner * outer, 0.3, random))
        const bytes = denseModel(w, floats([outer], normal(outer, biasSize, random)))
        const rowsSeen = floats([rows, inner], x)
        const { onnx } = await int8(bytes, rowsSeen)
        // Inputs beyond what calibration saw are cut off alike.
        const wild = x.map((value) => value * 2)
        for (const input of [x, wild, new Float32Array(rows * inner)]) {
          const expected = await reference(bytes, rowsSeen, floats([rows, inner], input))
          const actual = await runOnce(runtime, onnx, { x: floats([rows, inner], input) })
          expectClose(actual, expected, 1e-5 * Math.max(1e-6, peak(expected)))
        }
      }),
      { numRuns: 40, seed: 3 },
    )
  })

  it.each([
    ['zeros', [0, 0, 0, 0]],
    ['denormals', [1e-42, -1e-42, 1e-45, 0]],
    ['one value', [2.5, 2.5, 2.5, 2.5]],
    ['one negative value', [-2.5, -2.5, -2.5, -2.5]],
    ['very large values', [1e15, -1e15, 1e14, 0]],
  ])('survives calibration rows that are all %s', async (_, row) => {
    const w = floats([4, 3], [0.5, 0, 1e-41, -0.25, 0, 1e-42, 1, 0, 0, 0.125, 0, 0])
    const b = floats([3], [0.75, -2, 1e-3])
    const { onnx } = await int8(denseModel(w, b), floats([2, 4], [...row, ...row]))
    const x = floats([1, 4], row)
    const [actual, wanted] = [await runOnce(runtime, onnx, { x }), await runOnce(runtime, denseModel(w, b), { x })]
    expectClose(actual, wanted, 0.02 * peak(wanted))
    expectClose(actual, await reference(denseModel(w, b), floats([2, 4], [...row, ...row]), x), 1e-5 * peak(wanted))
  })

  it('keeps a bias exact to 30 bits in a channel without weights', async () => {
    const { onnx } = await int8(
      denseModel(floats([2, 2], [0, 1, 0, 1]), floats([2], [Math.PI, 0])),
      floats([2, 2], [1, 2, 3, 4]),
    )
    const [pi] = await runOnce(runtime, onnx, { x: floats([1, 2], [1, 1]) })
    expect(pi).toBeCloseTo(Math.PI, 6)
  })

  it('carries a ReLU output unsigned with zero point 0, and answers within a few steps of the float model', async () => {
    const random = uniform(11)
    const parts = [
      floats([32, 16], normal(32 * 16, 0.2, random)),
      floats([16], normal(16, 0.1, random)),
      floats([4, 16], normal(64, 0.2, random)),
      floats([4], normal(4, 0.1, random)),
    ] as const
    const bytes = classifier([...parts])
    const x = floats([200, 32], normal(200 * 32, 1, random))
    const { onnx, quantized, kept, layers } = await int8(bytes, x)
    expect(layers.map(({ input }) => input?.zeroPoint)).toEqual([expect.closeTo(128, -1), 0])
    expect(activation(onnx, 'x').zeroPoint).toBe(layers[0]?.input?.zeroPoint)
    expect(quantized).toEqual(['MatMul:m', 'Gemm:l'])
    expect(kept.map(({ node }) => node)).toEqual(['Softmax:p'])
    expectClose(await runOnce(runtime, onnx, { x }), await runOnce(runtime, bytes, { x }), 0.02)
  })

  it('leaves a leading normalization in float and quantizes what comes after it', async () => {
    const random = uniform(12)
    const parts = [
      floats([8, 6], normal(48, 0.4, random)),
      floats([6], normal(6, 0.1, random)),
      floats([3, 6], normal(18, 0.4, random)),
      floats([3], normal(3, 0.1, random)),
    ] as const
    const bytes = classifier([...parts], true)
    const x = floats([64, 8], Float32Array.from({ length: 512 }, random))
    const { onnx, kept } = await int8(bytes, x)
    expect(kept.map(({ node }) => node)).toEqual(['Sub:x0', 'Mul:x1', 'Softmax:p'])
    expect(kept.every(({ reason }) => reason.length > 10)).toBe(true)
    expectClose(await runOnce(runtime, onnx, { x }), await runOnce(runtime, bytes, { x }), 0.02)
  })

  it('gives the same bytes for the same model and rows, however often', async () => {
    const random = uniform(13)
    const bytes = denseModel(floats([20, 5], normal(100, 1, random)), floats([5], normal(5, 1, random)))
    const x = floats([600, 20], normal(12_000, 1, random))
    const [first, second] = [await int8(bytes, x), await int8(bytes.slice(), x)]
    expect(second.onnx).toEqual(first.onnx)
    expect(first.precision).toBe('int8')
  })

  it('handles products of more than two dimensions, with the bias beside the product', async () => {
    const random = uniform(14)
    const shape = [null, 5, 8]
    const bytes = modelOf({
      input: [{ name: 'x', dtype: 'float32', shape }],
      output: { name: 'y', dtype: 'float32', shape: [null, 5, 3] },
      node: [makeNode('MatMul', ['x', 'w'], ['m']), makeNode('Add', ['b', 'm'], ['y'])],
      constants: { w: floats([8, 3], normal(24, 0.5, random)), b: floats([3], [1, 2, 3]) },
    })
    const x = floats([40, 5, 8], normal(1600, 1, random))
    const { onnx, quantized, kept } = await int8(bytes, x)
    expect([quantized, kept]).toEqual([['MatMul:m'], []])
    expectClose(await runOnce(runtime, onnx, { x }), await runOnce(runtime, bytes, { x }), 0.06)
  })

  it('takes a model whose batch is fixed, in runs of that size', async () => {
    const random = uniform(15)
    const bytes = modelOf({
      input: [{ name: 'x', dtype: 'float32', shape: [4, 6] }],
      output: { name: 'y', dtype: 'float32', shape: [4, 2] },
      node: [makeNode('Relu', ['x'], ['r']), makeNode('MatMul', ['r', 'w'], ['y'])],
      constants: { w: floats([6, 2], normal(12, 0.5, random)) },
    })
    const x = floats([10, 6], normal(60, 1, random))
    const { layers } = await int8(bytes, x)
    const top = peak(x.data as Float32Array)
    expect((layers[0]?.input?.scale ?? 0) * 255).toBeGreaterThan(0.5 * top)
  })
})
