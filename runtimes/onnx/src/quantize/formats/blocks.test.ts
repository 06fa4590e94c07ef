import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { describe, expect, it } from 'vitest'
import { makeNode } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { writeModel } from '../../format/write.js'
import { transpose } from '../graph/dense.js'
import { GraphEdit } from '../graph/edit.js'
import { floats, modelOf, normal, runOnce, uniform } from '../models.fixture.js'
import { type BlockOptions, type Blocks, dequantizeBlocks, MIDDLE, quantizeBlocks } from './blocks.js'
import { packNibbles } from './nibbles.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })

type Size = readonly [outer: number, inner: number]

/** The matrix that ONNX's own DequantizeLinear makes of blocks, [outer, inner]. */
function throughEngine({ codes, scales, zeroPoints, blocks }: Blocks, [outer, inner]: Size, options: BlockOptions) {
  const model = readModel(
    modelOf({
      input: [{ name: 'x', dtype: 'float32', shape: [1] }],
      output: { name: 'y', dtype: 'float32', shape: [outer, inner] },
      node: [],
      constants: { s: floats([outer, blocks], scales) },
      opset: 21n,
    }),
  )
  model.irVersion = 10n
  const edit = new GraphEdit(model)
  const { symmetric, blockSize } = options
  const nibbles = symmetric ? Int8Array.from(codes, (code) => code - MIDDLE) : codes
  const names = [edit.packed('q', [outer, inner], symmetric ? 'int4' : 'uint4', packNibbles(nibbles)), 's']
  if (!symmetric) names.push(edit.packed('z', [outer, blocks], 'uint4', packNibbles(zeroPoints)))
  edit.after(
    makeNode('DequantizeLinear', names, ['w'], { axis: 1n, block_size: BigInt(blockSize) }),
    // Keeps the constant from being folded away with its input.
    makeNode('Mul', ['w', 'x'], ['y']),
  )
  edit.finish()
  return runOnce(runtime, writeModel(model), { x: floats([1], [1]) })
}

const squaredError = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, i) => sum + (value - (b[i] ?? 0)) ** 2, 0)

describe('weights in blocks of 4 bits', () => {
  const sizes: readonly Size[] = [
    [3, 100],
    [1, 16],
    [5, 7],
    [2, 256],
  ]
  const cases = sizes.flatMap((size) =>
    ([16, 32, 256] as const).flatMap((blockSize) =>
      [true, false].map((symmetric) => [size, { blockSize, symmetric }] as const),
    ),
  )

  it.each(cases)('%j in %j stand for what ONNX Runtime makes of them, to the bit', async (size, options) => {
    const [outer, inner] = size
    const weight = normal(outer * inner, 0.3, uniform(outer + inner)).map((value) => value + 0.1)
    const blocks = quantizeBlocks(weight, size, options)
    const reference = dequantizeBlocks(blocks, size, options.blockSize)
    expect(await throughEngine(blocks, size, options)).toEqual(reference)
    // Uniform steps over the block's range, 16 levels: never worse than half a step of the full range.
    const peak = weight.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    expect(squaredError(reference, weight) / weight.length).toBeLessThanOrEqual((peak / 7 / 2) ** 2)
  })

  it.each<[string, number[], number]>([
    ['zeros', [0, 0, 0, 0], 0],
    ['denormals', [1e-42, -1e-42, 0, 1e-45], 1e-18],
    ['one value', [0.7, 0.7, 0.7, 0.7], 1e-7],
    ['one negative value', [-0.7, -0.7, -0.7, -0.7], 1e-7],
    ['the largest floats', [3e38, -3e38, 0, 0], 3e37],
  ])('hold blocks of %s', async (_, list, tolerance) => {
    for (const symmetric of [true, false]) {
      const weight = Float32Array.from([...list, ...list, ...list, ...list])
      const options = { blockSize: 16, symmetric }
      const blocks = quantizeBlocks(weight, [1, 16], options)
      const reference = dequantizeBlocks(blocks, [1, 16], 16)
      expect(await throughEngine(blocks, [1, 16], options)).toEqual(reference)
      for (const [i, value] of weight.entries())
        expect(Math.abs((reference[i] ?? NaN) - value)).toBeLessThanOrEqual(tolerance)
    }
  })

  it('choose scales whose error is below that of the full range, and zero points lower it further', () => {
    const size: Size = [64, 128]
    const weight = normal(64 * 128, 1, uniform(9)).map((value, i) => (i % 32 === 0 ? 4 * value : value + 0.3))
    const error = (options: BlockOptions) =>
      squaredError(dequantizeBlocks(quantizeBlocks(weight, size, options), size, options.blockSize), weight)
    const plain = weight.map((_, i) => {
      const block = weight.subarray(i - (i % 32), i - (i % 32) + 32)
      const scale = Math.max(...block.map((value) => (value < 0 ? -value / 8 : value / 7)))
      return Math.min(7, Math.max(-8, Math.round((weight[i] ?? 0) / scale))) * scale
    })
    expect(error({ blockSize: 32, symmetric: true })).toBeLessThan(squaredError(plain, weight))
    expect(error({ blockSize: 32, symmetric: false })).toBeLessThan(error({ blockSize: 32, symmetric: true }))
    expect(error({ blockSize: 16, symmetric: true })).toBeLessThan(error({ blockSize: 64, symmetric: true }))
  })

  it('turn with their matrix', () => {
    expect(transpose(Uint8Array.of(1, 2, 3, 4, 5, 6), [2, 3])).toEqual(Uint8Array.of(1, 4, 2, 5, 3, 6))
  })
})
