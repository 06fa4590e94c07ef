import { codeOf, type Tensor } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { int64s, type Value } from '../build/value.js'
import { graphOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { signatureOf } from '../format/signature.js'
import { toTensor } from '../format/tensor.js'
import { writeModel } from '../format/write.js'
import { seeded } from '../gradient/gradient.fixture.js'
import { createInt8Quantizer } from '../quantize/quantizer.js'
import { pruneModel } from './prune.js'

const runtime = createOnnxNodeRuntime()
const random = seeded(9)
const CHANNELS = 8
/** Channels that are zero wherever they are made, when a model is asked for that has such. */
const ZERO = [1, 6]

/** Stores random tensors, in which the zero channels of an axis are zero. */
function storing(g: GraphBuilder, zero: readonly number[]) {
  return (name: string, shape: readonly number[], axis?: number, offset = 0): Value => {
    const inner = axis === undefined ? 1 : shape.slice(axis + 1).reduce((a, b) => a * b, 1)
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => {
      const value = random() - 0.5 + offset
      const channel = axis === undefined ? -1 : Math.floor(at / inner) % (shape[axis] ?? 1)
      return zero.includes(channel) ? 0 : value
    })
    return g.initializer(name, { dtype: 'float32', shape, data })
  }
}

/** How the image ends: ONNX's flattening, or Keras's, with the channels last. */
type End = 'first' | 'last' | 'mean'

/** Convolutions, normalization, depthwise, a sum, joined branches and dense layers. */
function network(zero: readonly number[], end: End = 'first'): Uint8Array {
  const g = new GraphBuilder('network')
  const store = storing(g, zero)
  const n = CHANNELS
  const conv = (x: Value, name: string, from: number, group = 1): Value => {
    const kernel = store(`${name}.w`, [n, group > 1 ? 1 : from, 3, 3], 0)
    const attributes = { kernel_shape: [3n, 3n], pads: [1n, 1n, 1n, 1n], group: BigInt(group) }
    return g.op('Conv', [x, kernel, store(`${name}.b`, [n], 0)], attributes, { name })
  }
  const normal = (x: Value, name: string): Value => {
    const parts = ['scale', 'bias', 'mean'].map((part) => store(`${name}.${part}`, [n], 0))
    const variance = g.initializer(`${name}.variance`, {
      dtype: 'float32',
      shape: [n],
      data: Float32Array.from({ length: n }, () => 0.5 + random()),
    })
    return g.op('BatchNormalization', [x, ...parts, variance], {}, { name })
  }
  const x = g.input('x', 'float32', [null, 3, 8, 8])
  const stem = g.op('Relu', [normal(conv(x, 'stem', 3), 'norm')])
  const depth = g.op('Relu', [conv(stem, 'depth', n, n)])
  const sum = g.op('Add', [conv(depth, 'point', n), stem], {}, { name: 'sum' })
  const left = g.op('Relu', [conv(sum, 'left', n)])
  const right = g.op('Tanh', [g.op('Mul', [conv(sum, 'right', n), store('factor', [n, 1, 1])])])
  const pool = { kernel_shape: [2n, 2n], strides: [2n, 2n] }
  const joined = g.op('MaxPool', [g.op('Concat', [left, right], { axis: 1n })], pool)
  const flat =
    end === 'first'
      ? g.op('Flatten', [joined], { axis: 1n })
      : end === 'last'
        ? g.op('Reshape', [
            g.op('Transpose', [joined], { perm: [0n, 2n, 3n, 1n] }),
            g.constant(int64s([-1, 2 * n * 16])),
          ])
        : g.op('ReduceMean', [joined], { axes: [2n, 3n], keepdims: 0n })
  const width = end === 'mean' ? 2 * n : 2 * n * 16
  const hidden = g.op('Relu', [
    g.op('Gemm', [flat, store('w1', [width, n], 1), store('b1', [n], 0)], {}, { name: 'hidden' }),
  ])
  const product = g.op('MatMul', [hidden, store('w2', [n, n], 1)], {}, { name: 'product' })
  const more = g.op('Relu', [g.op('Add', [product, store('b2', [n], 0)])])
  const logits = g.op('Gemm', [more, store('w3', [n, 4]), store('b3', [4])], {}, { name: 'logits' })
  g.output('y', g.op('Softmax', [logits], { axis: -1n }))
  return writeModel(g.build())
}

async function run(onnx: Uint8Array, x: Tensor): Promise<Float32Array> {
  const session = await runtime.load(onnx)
  const { y } = await session.run({ x })
  await session.dispose()
  return y?.data as Float32Array
}

const images: Tensor = {
  dtype: 'float32',
  shape: [5, 3, 8, 8],
  data: Float32Array.from({ length: 960 }, () => random() * 2 - 1),
}

const shapesOf = (onnx: Uint8Array): Record<string, readonly number[]> =>
  Object.fromEntries(graphOf(readModel(onnx)).initializer.map((tensor) => [tensor.name ?? '', toTensor(tensor).shape]))

describe('a pruned model', () => {
  for (const end of ['first', 'last', 'mean'] as const)
    for (const by of ['l1', 'l2'] as const)
      it(`computes what the whole one does where its channels were zero (${end}, ${by})`, async () => {
        const whole = network(ZERO, end)
        const { onnx, layers, parameters } = pruneModel(whole, { ratio: ZERO.length / CHANNELS, by })
        expect(layers.map(({ from, to }) => [from, to])).toEqual(layers.map(() => [CHANNELS, CHANNELS - ZERO.length]))
        expect(layers.map(({ nodes }) => [...nodes].sort())).toEqual(
          expect.arrayContaining([['depth', 'point', 'stem'], ['left'], ['right'], ['hidden'], ['product']]),
        )
        expect(parameters.to).toBeLessThan(parameters.from)
        expect(signatureOf(readModel(onnx))).toEqual(signatureOf(readModel(whole)))
        const [wanted, got] = [await run(whole, images), await run(onnx, images)]
        // Sums of fewer terms in another order: float32 roundings of values below 1.
        for (const [at, value] of got.entries()) expect(Math.abs(value - (wanted[at] ?? 0))).toBeLessThan(1e-6)
      })

  it('has shapes that follow in every tensor', () => {
    const shapes = shapesOf(pruneModel(network([]), { ratio: 0.5 }).onnx)
    expect(shapes).toMatchObject({
      'stem.w': [4, 3, 3, 3],
      'depth.w': [4, 1, 3, 3],
      'point.w': [4, 4, 3, 3],
      'norm.variance': [4],
      factor: [4, 1, 1],
      w1: [8 * 16, 4],
      w2: [4, 4],
      b2: [4],
      w3: [4, 4],
      b3: [4],
    })
  })

  it.each([0, 0.3, 0.9, 1])('runs at any ratio, %f, with a channel in every layer at least', async (ratio) => {
    const { onnx, layers } = pruneModel(network([], 'last'), { ratio })
    for (const { from, to } of layers) expect(to).toBe(Math.max(1, from - Math.floor(from * ratio)))
    const y = await run(onnx, images)
    expect(y).toHaveLength(20)
    expect(y.every(Number.isFinite)).toBe(true)
  })

  it('has no more parameters than were asked for, and hardly fewer', () => {
    const whole = network([])
    const { from } = pruneModel(whole, { ratio: 0 }).parameters
    for (const share of [0.8, 0.5, 0.2]) {
      const parameters = Math.floor(from * share)
      const { to } = pruneModel(whole, { parameters }).parameters
      expect(to).toBeLessThanOrEqual(parameters)
      // One channel of every layer more would be too many.
      expect(to).toBeGreaterThan(parameters - from * 0.3)
    }
  })

  it('loses the channels that matter least to the loss, of all layers together', () => {
    const whole = network([])
    const importance = Object.fromEntries(
      Object.entries(shapesOf(whole)).map(([name, shape]) => {
        const count = shape.reduce((a, b) => a * b, 1)
        // The fourth unit of `hidden`, and nearly all of `left`, do nothing.
        const value = (at: number): number => (name === 'w1' ? Number(at % CHANNELS !== 3) : Number(name !== 'left.w'))
        return [name, Float32Array.from({ length: count }, (_, at) => value(at))]
      }),
    )
    const { layers } = pruneModel(whole, { ratio: 0.2, by: { importance } })
    const left = Object.fromEntries(layers.map(({ nodes, to }) => [nodes[0], to]))
    expect(left).toMatchObject({ left: 1, hidden: 7, right: 8, product: 8 })
  })

  it('stores a tensor that two layers share for each of them, where they lose other channels', async () => {
    const g = new GraphBuilder('shared')
    const store = storing(g, [])
    const x = g.input('x', 'float32', [null, 6])
    const w = store('w', [6, 6])
    const one = g.op('Relu', [g.op('Gemm', [x, w], {}, { name: 'one' })])
    const two = g.op('Relu', [g.op('Gemm', [one, w], {}, { name: 'two' })])
    g.output('y', g.op('Gemm', [two, store('v', [6, 2])]))
    const { onnx } = pruneModel(writeModel(g.build()), { ratio: 0.5 })
    const y = await run(onnx, { dtype: 'float32', shape: [2, 6], data: new Float32Array(12).fill(1) })
    expect(y).toHaveLength(4)
    expect(Object.values(shapesOf(onnx))).toEqual(
      expect.arrayContaining([
        [6, 3],
        [3, 3],
        [3, 2],
      ]),
    )
  })

  it('leaves the tensors of other layers alone, also one whose name is that of a copy', async () => {
    const g = new GraphBuilder('names')
    const zero = [1, 2, 3]
    const store = storing(g, zero)
    const x = g.input('x', 'float32', [null, 6])
    const w = store('w', [6, 6], 1)
    const other = storing(g, [])('w_2', [6, 6])
    const one = g.op('Relu', [g.op('Gemm', [x, w], {}, { name: 'one' })])
    const side = g.op('Softmax', [g.op('Gemm', [x, other])], { axis: -1n })
    const two = g.op('Softmax', [g.op('Gemm', [x, w], {}, { name: 'two' })], { axis: -1n })
    const sum = g.op('Add', [g.op('Gemm', [one, storing(g, [])('v', [6, 6])]), side])
    g.output('y', g.op('Add', [sum, two]))
    const whole = writeModel(g.build())
    const { onnx, layers } = pruneModel(whole, { ratio: 0.5 })
    expect(layers).toContainEqual(expect.objectContaining({ from: 6, to: 3 }))
    const rows = {
      dtype: 'float32',
      shape: [2, 6],
      data: Float32Array.from({ length: 12 }, (_, at) => Math.sin(at)),
    } as const
    const [before, after] = [await run(whole, rows), await run(onnx, rows)]
    for (const [at, value] of before.entries()) expect(after[at]).toBeCloseTo(value, 5)
  })

  it('keeps units along the last axis that a pool takes for places', () => {
    const g = new GraphBuilder('axes')
    const store = storing(g, [])
    const x = g.op('Transpose', [g.input('x', 'float32', [null, 6, 4])], { perm: [0n, 2n, 1n] })
    const units = g.op('MatMul', [x, store('w', [6, 8])], {}, { name: 'units' })
    const pooled = g.op('AveragePool', [units], { kernel_shape: [2n], strides: [2n] }, { name: 'pooled' })
    g.output('y', g.op('MatMul', [pooled, store('v', [4, 2])]))
    expect(() => pruneModel(writeModel(g.build()), { ratio: 0.5 })).toThrow(
      expect.objectContaining({ code: 'PRUNE_NOTHING', data: { kept: [expect.stringContaining('another axis')] } }),
    )
  })
})

describe('pruning', () => {
  const code = (work: () => unknown): string | undefined => {
    try {
      work()
    } catch (error) {
      return codeOf(error)
    }
    return undefined
  }
  const whole = network([])

  it.each([
    ['neither a ratio nor a target', {}],
    ['both', { ratio: 0.5, parameters: 100 }],
    ['a ratio beyond 1', { ratio: 1.5 }],
    ['a target of no parameters', { parameters: 0 }],
    ['importance below zero', { ratio: 0.5, by: { importance: { w1: Float32Array.of(-1) } } }],
  ])('refuses %s', (_name, options) => {
    expect(code(() => pruneModel(whole, options))).toBe('PRUNE_OPTIONS_INVALID')
  })

  it('refuses a target that one channel in each layer is above, and says how many those are', () => {
    expect(() => pruneModel(whole, { parameters: 1 })).toThrow(
      expect.objectContaining({ code: 'PRUNE_TARGET_UNREACHABLE', data: { parameters: 1, least: expect.any(Number) } }),
    )
  })

  it('refuses a model without a channel that is its own, naming what stands in the way', () => {
    const g = new GraphBuilder('fixed')
    const x = g.input('x', 'float32', [null, 4])
    const hidden = g.op('Gemm', [x, storing(g, [])('w', [4, 6])], {}, { name: 'hidden' })
    const normal = g.op('Softmax', [hidden], { axis: -1n }, { name: 'shares' })
    g.output('y', g.op('Gemm', [normal, storing(g, [])('v', [6, 2])]))
    expect(() => pruneModel(writeModel(g.build()), { ratio: 0.5 })).toThrow(
      expect.objectContaining({ code: 'PRUNE_NOTHING', data: { kept: [expect.stringContaining('shares')] } }),
    )
  })

  it('refuses a model that is quantized', async () => {
    const { onnx } = await createInt8Quantizer().quantize(whole, { x: images }, runtime, { precision: 'int8' })
    expect(code(() => pruneModel(onnx, { ratio: 0.5 }))).toBe('MODEL_ALREADY_QUANTIZED')
  })
})
