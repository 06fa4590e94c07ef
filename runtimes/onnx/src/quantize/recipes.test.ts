import { type QuantizeOptions, type Recipe, SCHEMES, type Tensors } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { makeNode } from '../format/node.js'
import { readModel } from '../format/read.js'
import { fromTensor } from '../format/tensor.js'
import { writeModel } from '../format/write.js'
import { classifier, floats, uniform, valuesFrom } from './models.fixture.js'
import { createInt8Quantizer } from './quantizer.js'
import { createQuantizer } from './recipes.js'
import { expectClose, model, run, runtime } from './schemes.fixture.js'

const values = valuesFrom(uniform(71))
const bytes = classifier([values(32, 24), values(24), values(10, 24), values(10)])
const x = values(60, 32)
const quantize = (options: QuantizeOptions, calibration: Tensors = { x }, from = bytes) =>
  createQuantizer().quantize(from, calibration, runtime, options)
const recipeOf = (scheme: Recipe['scheme']) => ({ scheme }) as Recipe

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error as { code: string; data: { issues?: string[]; nodes?: string[] } },
  )

describe('the quantizer of all schemes', () => {
  // Probabilities of ten classes; 4-bit weights are 16 times coarser than 8-bit ones.
  const tolerances = { int8: 0.02, int4: 0.1, fp16: 2e-3 } as const

  it.each(SCHEMES)(
    'makes %s of a classifier that answers as before, smaller, and the same bytes each time',
    async (scheme) => {
      const first = await quantize(recipeOf(scheme))
      expect(first.scheme).toBe(scheme)
      expect(first.onnx.byteLength).toBeLessThan(0.75 * bytes.byteLength)
      expect(first.quantized.length).toBeGreaterThan(0)
      expectClose(await run(first.onnx, x), await run(bytes, x), tolerances[first.precision])
      expect((await quantize(recipeOf(scheme), { x }, bytes.slice())).onnx).toEqual(first.onnx)
    },
  )

  it.each(SCHEMES.filter((scheme) => scheme !== 'int8-static'))('needs no rows for %s', async (scheme) => {
    expect((await quantize(recipeOf(scheme), {})).onnx).toEqual((await quantize(recipeOf(scheme))).onnx)
  })

  it('takes a precision for its usual scheme, and static int8 as its own quantizer makes it', async () => {
    expect((await quantize({ precision: 'int4' })).scheme).toBe('int4-weights')
    expect((await quantize({ precision: 'fp16' })).scheme).toBe('fp16')
    const own = await createInt8Quantizer().quantize(bytes, { x }, runtime, { precision: 'int8' })
    expect((await quantize({ precision: 'int8' })).onnx).toEqual(own.onnx)
  })

  it.each(SCHEMES)(
    'refuses for %s, before work starts, rows that are wrong, and a model that is no model',
    async (scheme) => {
      const recipe = recipeOf(scheme)
      const data = Float32Array.from(x.data as Float32Array)
      data[40] = NaN
      for (const [calibration, issue] of [
        [{ x: floats([60, 32], data) }, 'x: row 1 holds a value that is not finite'],
        [
          {
            x: floats(
              [60, 32],
              data.map((value, i) => (i === 40 ? Infinity : value)),
            ),
          },
          'x: row 1 holds a value that is',
        ],
        [{ x: floats([0, 32], []) }, 'x: has no rows'],
        [{ x: values(4, 31) }, 'x: shape is [4, 31]'],
        [{ z: x }, 'x: is missing'],
      ] as const) {
        const error = await failure(quantize(recipe, calibration))
        expect(error?.code).toBe('CALIBRATION_INVALID')
        expect(error?.data.issues?.[0]).toContain(issue)
      }
      expect((await failure(quantize(recipe, { x }, Uint8Array.of(1, 2, 3))))?.code).toBe('MODEL_INVALID')
    },
  )

  it.each(SCHEMES)('refuses what %s made, whatever comes next, naming nodes', async (scheme) => {
    const { onnx } = await quantize(recipeOf(scheme))
    for (const next of SCHEMES) {
      const error = await failure(quantize(recipeOf(next), { x }, onnx))
      expect(error?.code, next).toBe('MODEL_ALREADY_QUANTIZED')
      expect(error?.data.nodes?.length).toBeGreaterThan(0)
    }
  })

  it('takes a float model with bytes in it for what it is: a mask or a palette is no quantized weight', async () => {
    const node = [
      makeNode('MatMul', ['x', 'w'], ['m']),
      makeNode('Equal', ['palette', 'palette'], ['e']),
      makeNode('Where', ['e', 'm', 'm'], ['y']),
    ]
    const float = readModel(
      model(
        [
          [null, 32],
          [null, 32],
        ],
        node,
        { w: values(32, 32) },
      ),
    )
    float.graph?.initializer.push(fromTensor('palette', { dtype: 'uint8', shape: [32], data: new Uint8Array(32) }))
    expect((await quantize(recipeOf('int8-weights'), {}, writeModel(float))).quantized).toEqual(['MatMul:m'])
  })

  it.each(SCHEMES)('refuses for %s a model without layers', async (scheme) => {
    const flat = model(
      [
        [null, 32],
        [null, 32],
      ],
      [makeNode('Relu', ['x'], ['y'])],
      {},
    )
    expect((await failure(quantize(recipeOf(scheme), { x }, flat)))?.code).toBe('QUANTIZE_NOTHING')
  })
})
