import { type Recipe, recipeDefaults, SCHEMES } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { quantizerContract } from '@tideway/test/contract/quantizer'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { writeModel } from '../format/write.js'
import { createInt8Quantizer } from './quantizer.js'
import { createQuantizer } from './recipes.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const [FEATURES, UNITS, OUTPUTS, ROWS] = [48, 40, 6, 64]

/** Values between -1 and 1 that look random and are not. */
const wave = (shape: readonly number[], seed: number) => ({
  dtype: 'float32' as const,
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => Math.sin(seed + at * at * 0.7)),
})

/** Two dense layers with Relu between. */
function network(): Uint8Array {
  const g = new GraphBuilder('network')
  const x = g.input('x', 'float32', [null, FEATURES])
  const first = g.op('MatMul', [x, g.initializer('w1', wave([FEATURES, UNITS], 1))], {}, { name: 'first' })
  const last = g.op(
    'MatMul',
    [g.op('Relu', [first]), g.initializer('w2', wave([UNITS, OUTPUTS], 2))],
    {},
    { name: 'last' },
  )
  g.output('y', last)
  return writeModel(g.build())
}

function empty(): Uint8Array {
  const g = new GraphBuilder('empty')
  g.output('y', g.op('Tanh', [g.input('x', 'float32', [null, FEATURES])]))
  return writeModel(g.build())
}

const subject = {
  runtime,
  model: network(),
  empty: empty(),
  calibration: { x: wave([ROWS, FEATURES], 3) },
  others: { x: wave([ROWS, FEATURES], 5) },
}

/** Half a step of the bits, of two layers' sums: shares of the largest output that hold with room. */
const TOLERANCE: Readonly<Record<string, number>> = { int8: 0.03, int4: 0.2, fp16: 0.005 }

/** Float16 has a form for every operator: only a model of no numbers would have nothing. */
const ALL_OPERATORS = { nothing: 'it has a form for every operator' }

quantizerContract('int8', {
  ...subject,
  create: createInt8Quantizer,
  options: { precision: 'int8' },
  tolerance: TOLERANCE['int8']!,
  calibrates: true,
})

for (const scheme of SCHEMES) {
  const small = 'minElements' in recipeDefaults[scheme] ? { minElements: 1 } : {}
  const bits = scheme.startsWith('int4') ? 'int4' : scheme.startsWith('fp16') ? 'fp16' : 'int8'
  quantizerContract(scheme, {
    ...subject,
    create: createQuantizer,
    options: { scheme, ...small } as Recipe,
    tolerance: TOLERANCE[bits]!,
    calibrates: scheme === 'int8-static',
    ...(scheme === 'fp16' && { exceptions: ALL_OPERATORS }),
  })
}

describe('a recipe', () => {
  it.each(SCHEMES)('leaves nodes in float that it names: %s', async (scheme) => {
    const small = 'minElements' in recipeDefaults[scheme] ? { minElements: 1 } : {}
    const recipe = { scheme, ...small, keep: ['last'] } as Recipe
    const made = await createQuantizer().quantize(subject.model, subject.calibration, runtime, recipe)
    expect(made.quantized).not.toContain('last')
    expect(made.kept).toContainEqual({ node: 'last', reason: 'it was asked to stay' })
  })

  it('of static int8 may be the fastest of two, and holds what it names in float in both', async () => {
    const recipe: Recipe = { scheme: 'int8-static', form: 'fastest', keep: ['first'] }
    const { quantized, kept } = await createQuantizer().quantize(subject.model, subject.calibration, runtime, recipe)
    expect(quantized.join()).toContain('last')
    expect(quantized.join()).not.toContain('first')
    expect(kept).toContainEqual({ node: 'first', reason: 'it was asked to stay' })
  })
})
