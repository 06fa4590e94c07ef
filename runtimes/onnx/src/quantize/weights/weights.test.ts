import type { Recipe, Tensor } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { makeNode } from '../../format/node.js'
import type { Node } from '../../generated/onnx_pb.js'
import { fromHalf, toHalf } from '../formats/half.js'
import { floats, normal, uniform } from '../models.fixture.js'
import { expectClose, model, peak, quantizeWith, run } from '../schemes.fixture.js'

const random = uniform(31)
const weights = (...shape: number[]) =>
  floats(
    shape,
    normal(
      shape.reduce((a, b) => a * b, 1),
      0.3,
      random,
    ),
  )

type Shapes = readonly [(number | null)[], (number | null)[]]

/** A layer, its constants, and which axes of `w` (and `r`) have a scale for each place. */
interface Case {
  readonly shapes: Shapes
  readonly x: number[]
  readonly node: Node[]
  readonly constants: Readonly<Record<string, Tensor>>
  readonly axes: Readonly<Record<string, readonly number[]>>
}

const CASES: Readonly<Record<string, Case>> = {
  'a MatMul': {
    shapes: [
      [null, 24],
      [null, 12],
    ],
    x: [5, 24],
    node: [makeNode('MatMul', ['x', 'w'], ['y'])],
    constants: { w: weights(24, 12) },
    axes: { w: [1] },
  },
  'a MatMul whose first input is constant': {
    shapes: [
      [24, null],
      [12, null],
    ],
    x: [24, 5],
    node: [makeNode('MatMul', ['w', 'x'], ['y'])],
    constants: { w: weights(12, 24) },
    axes: { w: [0] },
  },
  'a Gemm with transposed weights': {
    shapes: [
      [null, 24],
      [null, 12],
    ],
    x: [5, 24],
    node: [makeNode('Gemm', ['x', 'w', 'b'], ['y'], { transB: 1n, alpha: 0.5 })],
    constants: { w: weights(12, 24), b: weights(12) },
    axes: { w: [0] },
  },
  'a Conv': {
    shapes: [
      [null, 4, 6, 6],
      [null, 8, 6, 6],
    ],
    x: [2, 4, 6, 6],
    node: [makeNode('Conv', ['x', 'w', 'b'], ['y'], { pads: [1n, 1n, 1n, 1n] })],
    constants: { w: weights(8, 4, 3, 3), b: weights(8) },
    axes: { w: [0] },
  },
  'a depthwise Conv': {
    shapes: [
      [null, 32, 5],
      [null, 32, 3],
    ],
    x: [2, 32, 5],
    node: [makeNode('Conv', ['x', 'w'], ['y'], { group: 32n })],
    constants: { w: weights(32, 1, 3) },
    axes: { w: [0] },
  },
  'a ConvTranspose': {
    shapes: [
      [null, 4, 3, 3],
      [null, 8, 5, 5],
    ],
    x: [2, 4, 3, 3],
    node: [makeNode('ConvTranspose', ['x', 'w'], ['y'])],
    constants: { w: weights(4, 8, 3, 3) },
    axes: { w: [1] },
  },
  'an LSTM in both directions': {
    shapes: [
      [4, null, 6],
      [4, 2, null, 5],
    ],
    x: [4, 3, 6],
    node: [makeNode('LSTM', ['x', 'w', 'r', 'b'], ['y'], { hidden_size: 5n, direction: 'bidirectional' })],
    constants: { w: weights(2, 20, 6), r: weights(2, 20, 5), b: weights(2, 40) },
    axes: { w: [0, 1], r: [0, 1] },
  },
  'a GRU': {
    shapes: [
      [4, null, 6],
      [4, 1, null, 5],
    ],
    x: [4, 3, 6],
    node: [makeNode('GRU', ['x', 'w', 'r'], ['y'], { hidden_size: 5n })],
    constants: { w: weights(1, 15, 6), r: weights(1, 15, 5) },
    axes: { w: [0, 1], r: [0, 1] },
  },
}

/** Symmetric int8 and back, each place along the axes with its own scale: the plainest way to say it. */
function rounded({ shape, data }: Tensor, axes: readonly number[]): Float32Array {
  const values = data as Float32Array
  const place = (index: number) =>
    axes.map((axis) => Math.floor(index / shape.slice(axis + 1).reduce((a, b) => a * b, 1)) % (shape[axis] ?? 1)).join()
  const peaks = new Map<string, number>()
  for (const [i, value] of values.entries()) peaks.set(place(i), Math.max(peaks.get(place(i)) ?? 0, Math.abs(value)))
  return values.map((value, i) => {
    const scale = Math.fround((peaks.get(place(i)) ?? 0) / 127)
    // No weight here lies at a half of a step.
    return scale === 0 ? 0 : Math.round(Math.fround(value / scale)) * scale
  })
}

describe('weights alone as int8', () => {
  const recipe: Recipe = { scheme: 'int8-weights', minElements: 1 }

  it.each(Object.entries(CASES))('of %s compute what its float form does with rounded weights', async (_, item) => {
    const { shapes, node, constants, axes } = item
    const { onnx, quantized, precision } = await quantizeWith(recipe, model(shapes, node, constants))
    expect([quantized.length, precision]).toEqual([1, 'int8'])
    const changed = Object.entries(axes).map(([name, list]) => {
      const tensor = constants[name]
      if (tensor === undefined) throw new Error(name)
      return [name, { ...tensor, data: rounded(tensor, list) }] as const
    })
    const x = weights(...item.x)
    const reference = await run(
      model(shapes, node, { ...constants, ...Object.fromEntries(changed) } as typeof constants),
      x,
    )
    // The same kernel on the same weights; fusions may add in another order.
    expectClose(await run(onnx, x), reference, 1e-6 * peak(reference))
  })

  it.each(['a MatMul', 'a Gemm with transposed weights', 'a Conv', 'a ConvTranspose'])(
    'stored, of %s: through DequantizeLinear, at most the rounding of activations away',
    async (name) => {
      const { shapes, node, constants, axes, x: shape } = CASES[name] as Case
      const stored = await quantizeWith({ ...recipe, form: 'stored' }, model(shapes, node, constants))
      expect(stored.operators[0]).toBe('DequantizeLinear')
      const tensor = constants['w'] as Tensor
      const w = { ...tensor, data: rounded(tensor, axes['w'] ?? []) } as Tensor
      const x = weights(...shape)
      const reference = await run(model(shapes, node, { ...constants, w }), x)
      // ONNX Runtime may multiply with activations of 8 bits, each within 1/254 of the largest in its block.
      const inner = (tensor.data.length / (shapes[1][1] ?? 1)) * (peak(x.data as Float32Array) / 254)
      expectClose(await run(stored.onnx, x), reference, inner * peak(w.data as Float32Array))
    },
  )

  it('are a quarter of the file of a layer that is large enough', async () => {
    const bytes = model(
      [
        [null, 256],
        [null, 256],
      ],
      [makeNode('MatMul', ['x', 'w'], ['y'])],
      { w: weights(256, 256) },
    )
    const { onnx } = await quantizeWith({ scheme: 'int8-weights' }, bytes)
    expect(bytes.byteLength / onnx.byteLength).toBeGreaterThan(3.9)
  })

  it('are looked up as integers in a table of embeddings, with a scale per row or column, whichever fits', async () => {
    const node = [makeNode('Cast', ['x'], ['i'], { to: 7n }), makeNode('Gather', ['t', 'i'], ['y'])]
    const rare = weights(30, 8).data as Float32Array
    const byRow = rare.map((value, i) => value * (i < 80 ? 0.01 : 1))
    const byColumn = rare.map((value, i) => value * (i % 8 === 0 ? 20 : 1))
    for (const [data, scales] of [
      [byRow, [30, 1]],
      [byColumn, [8]],
    ] as const) {
      const t = floats([30, 8], data)
      const { onnx, constant, operators } = await quantizeWith(
        { ...recipe, minElements: 1 },
        model(
          [
            [null, 3],
            [null, 3, 8],
          ],
          node,
          { t },
        ),
      )
      expect(constant('t_s').shape).toEqual(scales)
      expect(operators.filter((name) => name === 'Gather')).toHaveLength(scales.length)
      const x = floats([1, 3], [0, 29, 7])
      const whole = rounded(t, scales.length === 2 ? [0] : [1])
      const found = [0, 29, 7].flatMap((row) => Array.from(whole.subarray(row * 8, row * 8 + 8)))
      expectClose(await run(onnx, x), Float32Array.from(found), 1e-6)
    }
  })

  it('expand a table as a whole where it is the last layer, too', async () => {
    const node = [
      makeNode('ArgMax', ['x'], ['i'], { axis: 1n }),
      makeNode('Gather', ['t', 'i'], ['e']),
      makeNode('Transpose', ['x'], ['u']),
      makeNode('MatMul', ['t', 'u'], ['v']),
      makeNode('Transpose', ['v'], ['l']),
      makeNode('ReduceSum', ['e'], ['s'], { keepdims: 0n }),
      makeNode('Add', ['l', 's'], ['y']),
    ]
    const t = weights(30, 8)
    const bytes = model(
      [
        [null, 8],
        [null, 30],
      ],
      node,
      { t },
    )
    const { onnx, quantized, names } = await quantizeWith(recipe, bytes)
    expect(quantized).toEqual(['Gather:e', 'MatMul:v'])
    expect(names).not.toContain('t')
    const x = weights(2, 8)
    expectClose(await run(onnx, x), await run(bytes, x), 0.05)
  })

  it('leave what was asked to stay, is too small, is not finite, or is read by others, and name it', async () => {
    const node = [
      makeNode('MatMul', ['x', 'w'], ['a']),
      makeNode('MatMul', ['a', 'few'], ['b']),
      makeNode('MatMul', ['b', 'bad'], ['c']),
      makeNode('MatMul', ['c', 'read'], ['d']),
      makeNode('ReduceMean', ['x'], ['mean'], { keepdims: 0n }),
      makeNode('Mul', ['read', 'mean'], ['r']),
      makeNode('MatMul', ['d', 'r'], ['e']),
      makeNode('MatMul', ['e', 'stay'], ['y'], {}, 'last'),
    ]
    const bad = floats([4, 20], new Float32Array(80).fill(Infinity))
    const constants = { w: weights(20, 20), few: weights(20, 4), bad, read: weights(20, 20), stay: weights(20, 20) }
    const bytes = model(
      [
        [null, 20],
        [null, 20],
      ],
      node,
      constants,
    )
    const { quantized, kept } = await quantizeWith({ ...recipe, minElements: 80, keep: ['last'] }, bytes)
    expect(quantized).toEqual(['MatMul:a', 'MatMul:b'])
    expect(kept).toEqual([
      { node: 'MatMul:c', reason: 'a weight is not finite' },
      { node: 'MatMul:d', reason: expect.stringContaining('no layer') },
      { node: 'last', reason: 'it was asked to stay' },
    ])
    const large = await quantizeWith({ ...recipe, minElements: 81, keep: ['last'] }, bytes)
    expect(large.kept[0]).toEqual({ node: 'MatMul:b', reason: expect.stringContaining('80 weights are too few') })
  })
})

describe('weights alone as float16', () => {
  it.each(Object.entries(CASES))('of %s compute what float32 does with rounded weights', async (_, item) => {
    const { shapes, node, constants, axes } = item
    const recipe: Recipe = { scheme: 'fp16-weights', minElements: 1 }
    const { onnx, operators, precision } = await quantizeWith(recipe, model(shapes, node, constants))
    expect(operators.slice(0, -1).every((name) => name === 'Cast')).toBe(true)
    expect(precision).toBe('fp16')
    const half = (tensor: Tensor) => ({ ...tensor, data: fromHalf(toHalf(tensor.data as Float32Array)) }) as Tensor
    const changed = Object.entries(constants).map(([name, tensor]) => {
      const isWeight = name in axes || (name === 'b' && tensor.shape.length > 1)
      return [name, isWeight ? half(tensor) : tensor] as const
    })
    const x = weights(...item.x)
    const reference = await run(model(shapes, node, Object.fromEntries(changed)), x)
    expectClose(await run(onnx, x), reference, 1e-6 * peak(reference))
  })

  it('leave constants that float16 cannot hold, and name their readers', async () => {
    const node = ['w', 'far', 'tiny'].map((name, i) =>
      makeNode('MatMul', [i === 0 ? 'x' : `h${i - 1}`, name], [i === 2 ? 'y' : `h${i}`]),
    )
    const scaled = (factor: number) => {
      const { shape, data } = weights(10, 10)
      return floats(
        [...shape],
        (data as Float32Array).map((value) => value * factor),
      )
    }
    const constants = { w: weights(10, 10), far: scaled(1e6), tiny: scaled(1e-7) }
    const bytes = model(
      [
        [null, 10],
        [null, 10],
      ],
      node,
      constants,
    )
    const { kept, quantized, constant } = await quantizeWith({ scheme: 'fp16-weights' }, bytes)
    expect(quantized).toEqual(['MatMul:h0'])
    expect(kept).toEqual([
      { node: 'MatMul:h1', reason: expect.stringContaining('beyond 65504') },
      { node: 'MatMul:y', reason: expect.stringContaining('too small') },
    ])
    expect(constant('far').dtype).toBe('float32')
  })
})
