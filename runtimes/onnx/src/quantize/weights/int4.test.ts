import type { Recipe } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { makeNode } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { writeModel } from '../../format/write.js'
import { dequantizeBlocks, quantizeBlocks } from '../formats/blocks.js'
import { transpose } from '../graph/dense.js'
import { floats, normal, uniform } from '../models.fixture.js'
import { integerDense } from '../reference.js'
import { expectClose, model, peak, quantizeWith, run } from '../schemes.fixture.js'

const random = uniform(41)
const values = (...shape: number[]) =>
  floats(
    shape,
    normal(
      shape.reduce((a, b) => a * b, 1),
      0.5,
      random,
    ),
  )

interface Layer {
  readonly inner: number
  readonly outer: number
  readonly rows: number
}

/** y = x · w + b with the weights of blocks, in doubles. */
function reference(x: Float32Array, w: Float32Array, b: Float32Array, layer: Layer, recipe: Required<Settings>) {
  const { inner, outer, rows } = layer
  const size = [outer, inner] as const
  const blocks = quantizeBlocks(transpose(w, [inner, outer]), size, recipe)
  const matrix = transpose(dequantizeBlocks(blocks, size, recipe.blockSize), [outer, inner])
  return { y: Float32Array.from(integerDense(x, matrix, b, [rows, inner, outer])), matrix }
}

type Settings = { blockSize: 16 | 32 | 64 | 128 | 256; symmetric: boolean }

const layers: readonly Layer[] = [
  { inner: 64, outer: 33, rows: 1 },
  { inner: 100, outer: 16, rows: 7 },
  { inner: 7, outer: 5, rows: 3 },
  { inner: 300, outer: 20, rows: 20 },
]
const settings = ([16, 32, 64, 128, 256] as const).flatMap((blockSize) =>
  [true, false].map((symmetric) => ({ blockSize, symmetric })),
)

describe('weights of dense layers in 4 bits', () => {
  it.each(settings)('%j compute what the reference does, as operator and in standard form', async (options) => {
    for (const layer of layers) {
      const { inner, outer, rows } = layer
      const [x, w, b] = [values(rows, inner), values(inner, outer), values(outer)]
      const node = [makeNode('MatMul', ['x', 'w'], ['m']), makeNode('Add', ['m', 'b'], ['y'])]
      const bytes = (opset: bigint) => {
        const made = readModel(
          model(
            [
              [null, inner],
              [null, outer],
            ],
            node,
            { w, b },
            opset,
          ),
        )
        made.irVersion = 10n
        return writeModel(made)
      }
      const data = [x, w, b].map((tensor) => tensor.data as Float32Array) as [Float32Array, Float32Array, Float32Array]
      const { y, matrix } = reference(...data, layer, options)
      const base = { scheme: 'int4-weights', minElements: 1, ...options } as const
      const forms: [Recipe, bigint, 'float' | 'integer'][] = [
        [{ ...base, integerProducts: false }, 17n, 'float'],
        [{ ...base }, 17n, 'integer'],
        [{ ...base }, 21n, 'integer'],
        [{ ...base, integerProducts: false }, 21n, 'float'],
      ]
      for (const [recipe, opset, arithmetic] of forms) {
        const { onnx, requires, operators, precision } = await quantizeWith(recipe, bytes(opset))
        const isStandard = opset === 21n && arithmetic === 'integer'
        expect(operators).toEqual(isStandard ? ['DequantizeLinear', 'MatMul', 'Add'] : ['MatMulNBits', 'Add'])
        expect(requires).toEqual(isStandard ? [] : ['operator:com.microsoft.MatMulNBits'])
        expect(precision).toBe('int4')
        // Float sums differ by rounding. Integer products round each activation to 1/254 of its block's largest.
        const rounding = inner * (peak(data[0]) / 254) * peak(matrix)
        expectClose(await run(onnx, x), y, arithmetic === 'float' ? 1e-5 * peak(y) : rounding)
      }
    }
  })

  it('are an eighth of the file, scales aside, and half a bit per weight more with zero points at block size 16', async () => {
    const bytes = model(
      [
        [null, 512],
        [null, 512],
      ],
      [makeNode('MatMul', ['x', 'w'], ['y'])],
      { w: values(512, 512) },
    )
    const bits = async (options: Settings) =>
      ((await quantizeWith({ scheme: 'int4-weights', ...options }, bytes)).onnx.byteLength * 8) / (512 * 512)
    expect(await bits({ blockSize: 256, symmetric: true })).toBeLessThan(4.2)
    expect(await bits({ blockSize: 32, symmetric: true })).toBeLessThan(5.05)
    const more = (await bits({ blockSize: 16, symmetric: false })) - (await bits({ blockSize: 16, symmetric: true }))
    expect(more).toBeCloseTo(4 / 16, 2)
  })

  it('share what layers share, fold alpha and beta, and take products of any rank', async () => {
    const node = [
      makeNode('MatMul', ['x', 'w'], ['a']),
      makeNode('MatMul', ['x', 'w'], ['b']),
      makeNode('Mul', ['a', 'b'], ['y']),
    ]
    const w = values(32, 16)
    const twice = model(
      [
        [null, 3, 32],
        [null, 3, 16],
      ],
      node,
      { w },
    )
    const { onnx, names, quantized } = await quantizeWith({ scheme: 'int4-weights', blockSize: 16 }, twice)
    expect([names.length, quantized.length]).toEqual([3, 2])
    const x = values(4, 3, 32)
    const wanted = await run(twice, x)
    expectClose(await run(onnx, x), wanted, 0.5 * peak(wanted))
    const gemm = makeNode('Gemm', ['x', 'w', 'c'], ['y'], { alpha: -2, beta: 0.5 })
    const scaled = model(
      [
        [null, 32],
        [null, 16],
      ],
      [gemm],
      { w, c: values(16) },
    )
    const result = await quantizeWith({ scheme: 'int4-weights', blockSize: 16 }, scaled)
    const rows = values(5, 32)
    const expected = await run(scaled, rows)
    expectClose(await run(result.onnx, rows), expected, 0.25 * peak(expected))
  })

  it('leave other layers in float and name them, or make them int8 weights where the recipe says so', async () => {
    const node = [
      makeNode('Conv', ['x', 'k'], ['c']),
      makeNode('Flatten', ['c'], ['f']),
      makeNode('Gemm', ['f', 'w'], ['g'], { transB: 1n }, 'head'),
      makeNode('MatMul', ['g', 'last'], ['y'], {}, 'last'),
    ]
    const constants = { k: values(16, 4, 3, 3), w: values(32, 256), last: values(32, 10) }
    const bytes = model(
      [
        [null, 4, 6, 6],
        [null, 10],
      ],
      node,
      constants,
    )
    const alone = await quantizeWith({ scheme: 'int4-weights', keep: ['last'] }, bytes)
    expect(alone.quantized).toEqual(['head'])
    expect(alone.kept).toEqual([
      { node: 'Conv:c', reason: expect.stringContaining('4 bits') },
      { node: 'last', reason: 'it was asked to stay' },
    ])
    const rest = await quantizeWith({ scheme: 'int4-weights', keep: ['last'], rest: 'int8-weights' }, bytes)
    expect(rest.quantized).toEqual(['head', 'Conv:c'])
    expect(rest.kept).toEqual([{ node: 'last', reason: 'it was asked to stay' }])
    const x = values(3, 4, 6, 6)
    const wanted = await run(bytes, x)
    expectClose(await run(rest.onnx, x), wanted, 0.15 * peak(wanted))
  })

  it('refuse the standard form for a model of an older operator set', async () => {
    const bytes = model(
      [
        [null, 16],
        [null, 16],
      ],
      [makeNode('MatMul', ['x', 'w'], ['y'])],
      { w: values(16, 16) },
    )
    await expect(quantizeWith({ scheme: 'int4-weights', form: 'standard' }, bytes)).rejects.toMatchObject({
      code: 'QUANTIZE_OPSET_TOO_OLD',
      data: { opset: 17, minimum: 21 },
    })
  })
})
