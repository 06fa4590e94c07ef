import type { Recipe, Tensor } from '@tideway/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeNode } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { writeModel } from '../../format/write.js'
import { dynamicScale } from '../formats/integers.js'
import { floats, normal, uniform } from '../models.fixture.js'
import { integerDense, quantize, UINT8 } from '../reference.js'
import { expectClose, model, peak, quantizeWith, run } from '../schemes.fixture.js'

const random = uniform(51)
const count = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)
const values = (shape: number[], deviation = 0.3) => floats(shape, normal(count(shape), deviation, random))

const recipe: Extract<Recipe, { scheme: 'int8-dynamic' }> = { scheme: 'int8-dynamic', minElements: 1 }

/** Symmetric integers of a matrix [inner, outer] by column, and their scales. */
function columns(w: Float32Array, outer: number, most: number) {
  const scales = Array.from({ length: outer }, (_, c) => {
    const top = peak(w.filter((_, i) => i % outer === c))
    return top === 0 ? 1 : Math.max(2 ** -60, Math.fround(top / most))
  })
  const range = { min: -most, max: most }
  return {
    scales,
    integers: w.map((value, i) => quantize(value, { scale: scales[i % outer] ?? 1, zeroPoint: 0 }, range)),
  }
}

/** A tensor as the integers of its run, zero point taken off. */
function activation(x: Float32Array) {
  const affine = dynamicScale(x)
  return { scale: affine.scale, integers: x.map((value) => quantize(value, affine, UINT8) - affine.zeroPoint) }
}

describe('a dense layer with ranges found in each run', () => {
  const bits = { 7: 64, 8: 127 } as const
  const dense = (inner: number, outer: number, w: Tensor, b: Tensor) =>
    model(
      [
        [null, inner],
        [null, outer],
      ],
      [makeNode('Gemm', ['x', 'w', 'b'], ['y'])],
      { w, b },
    )

  it('computes what integers alone compute, over random layers, inputs and both kinds of weights', async () => {
    const sizes = fc.tuple(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 1, max: 20 }),
    )
    const cases = fc.tuple(
      sizes,
      fc.constantFrom<7 | 8>(7, 8),
      fc.constantFrom(0, 1e-3, 1, 1e4),
      fc.constantFrom(-3, 0, 3),
    )
    await fc.assert(
      fc.asyncProperty(cases, async ([[rows, inner, outer], weightBits, size, shift]) => {
        const [w, b] = [values([inner, outer]), values([outer])]
        const { onnx, requires } = await quantizeWith({ ...recipe, weightBits }, dense(inner, outer, w, b))
        expect(requires).toEqual([])
        const x = normal(rows * inner, 1, random).map((value) => (value + shift) * size)
        const { scales, integers } = columns(w.data as Float32Array, outer, bits[weightBits])
        const input = activation(x)
        const sums = integerDense(input.integers, integers, undefined, [rows, inner, outer])
        const expected = Float32Array.from(
          sums,
          (sum, i) => sum * input.scale * (scales[i % outer] ?? 0) + Number(b.data[i % outer]),
        )
        expectClose(await run(onnx, floats([rows, inner], x)), expected, 1e-5 * Math.max(1e-6, peak(expected)))
      }),
      { numRuns: 40, seed: 5 },
    )
  })

  it.each([
    ['zeros', [0, 0, 0, 0]],
    ['denormals', [1e-42, -1e-42, 1e-45, 0]],
    ['one value', [2.5, 2.5, 2.5, 2.5]],
    ['one negative value', [-2.5, -2.5, -2.5, -2.5]],
    ['very large values', [1e15, -1e15, 1e14, 0]],
  ])('answers rows of %s as the float model does', async (_, row) => {
    const bytes = dense(
      4,
      3,
      floats([4, 3], [0.5, 0, 1e-41, -0.25, 0, 1e-42, 1, 0, 0, 0.125, 0, 0]),
      floats([3], [1, -2, 0]),
    )
    for (const weightBits of [7, 8] as const) {
      const { onnx } = await quantizeWith({ ...recipe, weightBits }, bytes)
      const x = floats([1, 4], row)
      const wanted = await run(bytes, x)
      expectClose(await run(onnx, x), wanted, 0.02 * peak(wanted))
    }
  })

  it('answers NaN where an input is infinite, so that the fault is seen', async () => {
    const { onnx } = await quantizeWith(recipe, dense(4, 3, values([4, 3]), values([3])))
    const answer = await run(onnx, floats([1, 4], [1, Infinity, 0, 0]))
    expect(answer.every(Number.isNaN)).toBe(true)
  })

  it('answers no rows with no rows', async () => {
    const { onnx } = await quantizeWith(recipe, dense(4, 3, values([4, 3]), values([3])))
    expect(await run(onnx, floats([0, 4], []))).toHaveLength(0)
  })

  it('quantizes an input once for all layers that read it, and shares weights', async () => {
    const node = [
      makeNode('MatMul', ['x', 'w'], ['a']),
      makeNode('MatMul', ['x', 'w'], ['b']),
      makeNode('MatMul', ['x', 'v'], ['c']),
      makeNode('Sum', ['a', 'b', 'c'], ['y']),
    ]
    const bytes = model(
      [
        [null, 2, 16],
        [null, 2, 8],
      ],
      node,
      { w: values([16, 8]), v: values([16, 8]) },
    )
    const { onnx, operators, names } = await quantizeWith({ ...recipe, weightBits: 8 }, bytes)
    expect(operators.filter((name) => name === 'DynamicQuantizeLinear')).toHaveLength(1)
    expect(names).toHaveLength(5)
    const x = values([3, 2, 16], 1)
    const wanted = await run(bytes, x)
    expectClose(await run(onnx, x), wanted, 0.03 * peak(wanted))
  })
})

describe('sums that 16 bits cannot hold', () => {
  /** Every input at its brightest, every weight at its largest: the worst that a kernel can meet. */
  const worst = (inner: number, sign: number) => ({
    bytes: model(
      [
        [null, inner],
        [null, 16],
      ],
      [makeNode('MatMul', ['x', 'w'], ['y'])],
      {
        w: floats([inner, 16], new Float32Array(inner * 16).fill(sign)),
      },
    ),
    exact: inner * sign,
  })

  it.each([7, 8] as const)(
    "are exact with %d bits on this machine's kernels, at one row and at many",
    async (weightBits) => {
      for (const [inner, sign] of [
        [2, 1],
        [64, 1],
        [64, -1],
        [1023, 1],
      ] as const) {
        const { bytes, exact } = worst(inner, sign)
        const { onnx } = await quantizeWith({ ...recipe, weightBits }, bytes)
        for (const rows of [1, 9]) {
          const answer = await run(onnx, floats([rows, inner], new Float32Array(rows * inner).fill(1)))
          expectClose(answer, new Float32Array(rows * 16).fill(exact), 1e-5 * Math.abs(exact))
        }
      }
    },
  )

  it('would be cut off with int8 weights of 8 bits where the kernel adds pairs in 16 bits, and nowhere else', async () => {
    const inner = 64
    const constants = {
      w: { dtype: 'int8', shape: [inner, 16], data: new Int8Array(inner * 16).fill(127) },
    } as const
    const node = [
      makeNode('DynamicQuantizeLinear', ['x'], ['q', 's', 'z']),
      makeNode('MatMulInteger', ['q', 'w', 'z'], ['i']),
      makeNode('Cast', ['i'], ['y'], { to: 1n }),
    ]
    const [sum] = await run(
      model(
        [
          [null, inner],
          [null, 16],
        ],
        node,
        constants,
      ),
      floats([1, inner], new Float32Array(inner).fill(1)),
    )
    // VPMADDUBSW: 255 · 127 · 2 is cut to 32,767. VNNI, Arm and WebAssembly add in 32 bits.
    const saturated = (inner / 2) * 32_767
    expect([saturated, inner * 255 * 127]).toContain(sum)
  })
})

describe('products of two activations', () => {
  const bytes = model(
    [
      [null, 2, 12, 8],
      [null, 2, 12, 12],
    ],
    [
      makeNode('Transpose', ['x'], ['t'], { perm: [0n, 1n, 3n, 2n] }),
      makeNode('MatMul', ['x', 't'], ['y'], {}, 'scores'),
    ],
    {},
  )

  it('compute what integers alone compute, both sides with a scale of the run', async () => {
    const { onnx, quantized, kept } = await quantizeWith({ ...recipe, attention: true }, bytes)
    expect([quantized, kept]).toEqual([['scores'], []])
    const x = values([3, 2, 12, 8], 1)
    const { scale, integers } = activation(x.data as Float32Array)
    const expected = Array.from({ length: 6 }, (_, head) => {
      const left = integers.slice(head * 96, head * 96 + 96)
      const right = Float32Array.from({ length: 96 }, (_, i) => left[(i % 12) * 8 + Math.floor(i / 12)] ?? 0)
      return Array.from(integerDense(left, right, undefined, [12, 8, 12]), (sum) => sum * scale * scale)
    }).flat()
    expectClose(await run(onnx, x), Float32Array.from(expected), 1e-5 * peak(expected))
  })

  it('stay in float and are named unless the recipe asks for them', async () => {
    const both = model(
      [
        [null, 2, 12, 8],
        [null, 2, 12, 12],
      ],
      [
        makeNode('MatMul', ['x', 'w'], ['v']),
        makeNode('Transpose', ['x'], ['t'], { perm: [0n, 1n, 3n, 2n] }),
        makeNode('MatMul', ['v', 't'], ['y'], {}, 'scores'),
      ],
      { w: values([8, 8]) },
    )
    const { quantized, kept } = await quantizeWith(recipe, both)
    expect(quantized).toEqual(['MatMul:v'])
    expect(kept).toEqual([{ node: 'scores', reason: expect.stringContaining('two activations') }])
  })
})

describe('recurrent layers', () => {
  const [steps, inner, units] = [6, 24, 16]
  const lstm = (directions: number, change: object = {}, node = 'LSTM') => {
    const gates = node === 'LSTM' ? 4 : 3
    const constants = {
      w: values([directions, gates * units, inner], 0.2),
      r: values([directions, gates * units, units], 0.2),
      b: values([directions, 2 * gates * units], 0.2),
    }
    const attributes = {
      hidden_size: BigInt(units),
      direction: directions === 2 ? 'bidirectional' : 'forward',
      ...change,
    }
    const shapes = [
      [steps, null, inner],
      [steps, directions, null, units],
    ] as const
    const nodes = [makeNode(node, ['x', 'w', 'r', 'b'], ['y'], attributes, 'layer')]
    return { bytes: model([[...shapes[0]], [...shapes[1]]], nodes, constants), constants, shapes, nodes }
  }

  it.each([
    [1, 7],
    [1, 8],
    [2, 7],
    [2, 8],
  ] as const)(
    'LSTM in %d direction(s) and %d bits is the float layer with rounded weights, but for activations',
    async (directions, weightBits) => {
      const { bytes, constants, shapes, nodes } = lstm(directions)
      const { onnx, requires, operators } = await quantizeWith({ ...recipe, weightBits }, bytes)
      expect([operators, requires]).toEqual([['DynamicQuantizeLSTM'], ['operator:com.microsoft.DynamicQuantizeLSTM']])
      const most = weightBits === 7 ? 64 : 127
      const rounded = ({ shape, data }: Tensor) => {
        const width = shape.at(-1) ?? 1
        const rows = (data as Float32Array).map((value, i, all) => {
          const top = peak(all.subarray(i - (i % width), i - (i % width) + width))
          return Math.round((value * most) / top) * (top / most)
        })
        return floats([...shape], rows)
      }
      const weights = { ...constants, w: rounded(constants.w), r: rounded(constants.r) }
      const x = values([steps, 3, inner], 1)
      const answer = await run(onnx, x)
      // Inputs and the hidden state are rounded to 1/255 of their range: a sum of 40 such errors, each times a weight.
      const tolerance = 0.01
      expectClose(answer, await run(model([[...shapes[0]], [...shapes[1]]], nodes, weights), x), tolerance)
      expect(peak(answer)).toBeGreaterThan(20 * tolerance)
    },
  )

  it('LSTM does not saturate with every input and weight at its largest', async () => {
    const ones = (shape: number[], value: number) => floats(shape, new Float32Array(count(shape)).fill(value))
    const constants = { w: ones([1, 4 * units, inner], 0.01), r: ones([1, 4 * units, units], 0.01) }
    const nodes = [makeNode('LSTM', ['x', 'w', 'r'], ['y'], { hidden_size: BigInt(units) })]
    const bytes = model(
      [
        [steps, null, inner],
        [steps, 1, null, units],
      ],
      nodes,
      constants,
    )
    const x = ones([steps, 2, inner], 5)
    for (const weightBits of [7, 8] as const) {
      const { onnx } = await quantizeWith({ ...recipe, weightBits }, bytes)
      // All values lie on their grids, so only float sums and the hidden state's rounding differ.
      expectClose(await run(onnx, x), await run(bytes, x), 1e-3)
    }
  })

  it('of kinds without an integer kernel stay in float and are named, or get int8 weights', async () => {
    const { bytes } = lstm(1, {}, 'GRU')
    await expect(quantizeWith(recipe, bytes)).rejects.toMatchObject({
      code: 'QUANTIZE_NOTHING',
      data: { kept: ['layer: ONNX Runtime has no integer kernel for it'] },
    })
    const { onnx, kept, quantized } = await quantizeWith({ ...recipe, rest: 'int8-weights' }, bytes)
    expect([quantized, kept]).toEqual([['layer'], []])
    const x = values([steps, 3, inner], 1)
    expectClose(await run(onnx, x), await run(bytes, x), 0.02)
  })

  it('with time as the second axis stay in float and are named', async () => {
    const { constants } = lstm(1)
    const nodes = [makeNode('LSTM', ['x', 'w', 'r', 'b'], ['y'], { hidden_size: BigInt(units), layout: 1n }, 'layer')]
    const bytes = model(
      [
        [null, steps, inner],
        [null, steps, 1, units],
      ],
      nodes,
      constants,
    )
    await expect(quantizeWith(recipe, bytes)).rejects.toMatchObject({ code: 'QUANTIZE_NOTHING' })
  })

  it('refuses an operator set without DynamicQuantizeLinear', async () => {
    const old = readModel(
      model(
        [
          [null, 2],
          [null, 2],
        ],
        [makeNode('MatMul', ['x', 'w'], ['y'])],
        { w: values([2, 2]) },
      ),
    )
    for (const set of old.opsetImport) set.version = 10n
    await expect(quantizeWith(recipe, writeModel(old))).rejects.toMatchObject({
      code: 'QUANTIZE_OPSET_TOO_OLD',
      data: { opset: 10, minimum: 11 },
    })
  })
})

describe('a model with embeddings, normalization and convolution', () => {
  it('gets integer tables and dense layers; the rest stays in float, layers with the reason', async () => {
    const node = [
      makeNode('ArgMax', ['x'], ['i'], { axis: 2n, keepdims: 0n }),
      makeNode('Gather', ['t', 'i'], ['e']),
      makeNode('Conv', ['x', 'k'], ['c'], { pads: [1n, 1n] }),
      makeNode('Add', ['e', 'c'], ['a']),
      makeNode('LayerNormalization', ['a', 'g', 'h'], ['n']),
      makeNode('MatMul', ['n', 'w'], ['y']),
    ]
    const constants = {
      t: values([50, 16], 1),
      k: values([4, 4, 3]),
      g: values([16]),
      h: values([16]),
      w: values([16, 6]),
    }
    const bytes = model(
      [
        [null, 4, 16],
        [null, 4, 6],
      ],
      node,
      constants,
    )
    const { onnx, quantized, kept, operators } = await quantizeWith(recipe, bytes)
    expect(quantized).toEqual(['MatMul:y', 'Gather:e'])
    expect(kept).toEqual([{ node: 'Conv:c', reason: expect.stringContaining('slower than float') }])
    expect(operators).toContain('LayerNormalization')
    const x = values([2, 4, 16], 1)
    const wanted = await run(bytes, x)
    expectClose(await run(onnx, x), wanted, 0.05 * peak(wanted))
  })
})
