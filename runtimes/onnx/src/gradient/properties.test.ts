import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { buildCase, type Case, closeCase, makeInputs, runCase, seeded } from './gradient.fixture.js'
import { elementwiseProperties } from './properties/elementwise.fixture.js'
import { layoutProperties } from './properties/layout.fixture.js'
import { recurrentProperties } from './properties/recurrent.fixture.js'
import { reduceProperties } from './properties/reduce.fixture.js'
import { activationRules } from './rules-activation.js'
import { einsumRules } from './rules-einsum.js'
import { elementwiseRules } from './rules-elementwise.js'
import { layoutRules } from './rules-layout.js'
import { lossRules } from './rules-loss.js'
import { productRules } from './rules-product.js'
import { recurrentRules } from './rules-recurrent.js'
import { reduceRules } from './rules-reduce.js'

const PROPERTIES = { ...elementwiseProperties, ...layoutProperties, ...recurrentProperties, ...reduceProperties }

/** The same shapes and numbers in every run of the tests. */
const SEED = 20240229
const RUNS = 10

/** Float64 leaves the error of the differences; float32 that of summing a few dozen terms rounded to 6e-8. */
const TOLERANCE = { float64: 1e-6, float32: 1e-4 }

describe('gradients along random directions equal central differences, whatever the shapes and attributes,', () => {
  it('for every operator of these groups', () => {
    const rules = {
      ...activationRules,
      ...einsumRules,
      ...elementwiseRules,
      ...layoutRules,
      ...lossRules,
      ...productRules,
      ...recurrentRules,
      ...reduceRules,
    }
    expect(Object.keys(PROPERTIES)).toEqual(expect.arrayContaining(Object.keys(rules)))
  })

  for (const [operator, cases] of Object.entries(PROPERTIES)) {
    it(`of ${operator}`, async () => {
      await fc.assert(
        fc.asyncProperty(cases, fc.boolean(), fc.nat(), (item, free, seed) => compare(item, free, seeded(seed))),
        { seed: SEED, numRuns: RUNS },
      )
    })
  }
})

async function compare(item: Case, free: boolean, random: () => number): Promise<void> {
  const shape = outputShape(item)
  const built = await buildCase(item, free)
  const inputs = makeInputs(item, random)
  const numbers = (length: number): Float64Array => Float64Array.from({ length }, () => random() * 2 - 1)
  const weights = numbers(shape.reduce((a, b) => a * b, 1))
  const out = await runCase(built.session, built.dtype, item, inputs, weights, shape)
  for (const input of built.by) {
    const direction = numbers(inputs[input]?.length ?? 0)
    const at = async (distance: number): Promise<number> => {
      const moved = inputs.with(
        input,
        direction.map((value, element) => (inputs[input]?.[element] ?? 0) + distance * value),
      )
      return Number((await runCase(built.reference, 'float64', item, moved, weights, shape))['loss']?.data[0])
    }
    const h = 1e-5
    const expected = ((await at(h)) - (await at(-h))) / (2 * h)
    const gradient = out[`gradient${input}`]
    expect(gradient?.dims).toEqual(item.shapes[input])
    const actual = direction.reduce((sum, value, element) => sum + value * Number(gradient?.data[element]), 0)
    expect(Math.abs(actual - expected), `${actual} for ${expected}`).toBeLessThan(
      TOLERANCE[built.dtype] * (1 + Math.abs(expected)),
    )
  }
  await closeCase(built)
}

/** From the inference of the graph whose sizes are known. */
function outputShape(item: Case): number[] {
  const g = new GraphBuilder('shape')
  const inputs = item.shapes.map((shape, place) => g.input(`x${place}`, 'float64', shape))
  return item.build(g, inputs).shape.map(Number)
}
