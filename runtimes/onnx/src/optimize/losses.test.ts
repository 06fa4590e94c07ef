import { lossNames, resolveLoss } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { seeded } from '../gradient/gradient.fixture.js'
import { huber, meanAbsoluteError, meanSquaredError } from './losses/regression.js'
import { sigmoidCrossEntropy } from './losses/sigmoid.js'
import { softmaxCrossEntropy, softmaxCrossEntropySoft } from './losses/softmax.js'
import { lossOf } from './losses/table.js'
import { triplet } from './losses/triplet.js'
import { lossByGraph, type Rows, reference, slopes } from './losses.fixture.js'

/** float32 sums of a few terms of up to 10: a few times 1e-6 at most. Differences in float64 add 1e-9. */
const TOLERANCE = 5e-6

const random = seeded(11)
const rows = (count: number, columns: number, scale = 3): Rows =>
  Array.from({ length: count }, () => Array.from({ length: columns }, () => Math.fround((random() * 2 - 1) * scale)))

type Add = Parameters<typeof lossByGraph>[0]

/** Holds a loss and its gradient against a definition in float64, for known and free batches. */
async function agrees(
  add: Add,
  x: Rows,
  targets: Parameters<typeof lossByGraph>[2],
  definition: (x: Rows) => number,
): Promise<void> {
  const expected = slopes(definition, x)
  for (const free of [false, true]) {
    const { loss, gradient } = await lossByGraph(add, x, targets, { free })
    expect(Math.abs(loss - definition(x))).toBeLessThan(TOLERANCE)
    expect(gradient).toHaveLength(expected.length)
    for (const [at, slope] of expected.entries())
      expect(Math.abs((gradient[at] ?? Number.NaN) - slope), `slope ${at}`).toBeLessThan(TOLERANCE)
  }
}

const refused = (
  add: Add,
  x: readonly (number | null)[],
  t: readonly (number | null)[],
  dtype: 'float32' | 'int32',
) => {
  const g = new GraphBuilder('refused')
  return () => add(g, g.input('x', 'float32', x), g.input('t', dtype, t))
}

describe('softmaxCrossEntropy', () => {
  it('is -log of the right class, averaged, with smoothing and class weights', async () => {
    const x = rows(5, 4)
    const classes = [0, 3, 1, 1, 2]
    for (const labelSmoothing of [0, 0.1, 1])
      for (const classWeights of [[], [1, 0.5, 0, 4]]) {
        const targets = reference.distribution(classes, 4, labelSmoothing, classWeights)
        const add: Add = (g, logits, t) => softmaxCrossEntropy(g, logits, t, { labelSmoothing, classWeights })
        await agrees(add, x, classes, (at) => reference.softmax(at, targets))
      }
  })

  it('takes classes of either type of integer', async () => {
    const x = rows(3, 2)
    const one = await lossByGraph(softmaxCrossEntropy, x, [0, 1, 1], { dtype: 'int32' })
    expect(await lossByGraph(softmaxCrossEntropy, x, [0, 1, 1], { dtype: 'int64' })).toEqual(one)
  })

  it('stays finite for logits far apart', async () => {
    const far = [
      [1000, -1000, 0],
      [Math.fround(3e38), 0, 0],
    ]
    const { loss, gradient } = await lossByGraph(softmaxCrossEntropy, far, [1, 0])
    expect(loss).toBeCloseTo(1000, 3)
    expect(gradient.every(Number.isFinite)).toBe(true)
  })

  it('refuses other shapes and types, and weights of other classes', () => {
    expect(refused(softmaxCrossEntropy, [null, 3], [null], 'float32')).toThrow(/float32, not int32/)
    expect(refused(softmaxCrossEntropy, [null, 3], [null, 1], 'int32')).toThrow(/takes rows/)
    const weighted: Add = (g, x, t) => softmaxCrossEntropy(g, x, t, { classWeights: [1, 2] })
    expect(refused(weighted, [null, 3], [null], 'int32')).toThrow(/2 class weights for 3 classes/)
  })
})

describe('softmaxCrossEntropySoft', () => {
  it('takes distributions: of one class each it is the same as of classes, and of mixtures the mixture', async () => {
    const x = rows(3, 4)
    const options = { labelSmoothing: 0.2, classWeights: [1, 2, 0.5, 3] }
    const add: Add = (g, logits, t) => softmaxCrossEntropySoft(g, logits, t, options)
    const of = (...classes: number[]): Rows =>
      reference.distribution(classes, 4, options.labelSmoothing, options.classWeights)
    const hard = reference.distribution([2, 0, 3], 4, 0, [])
    await agrees(add, x, hard, (at) => reference.softmax(at, of(2, 0, 3)))
    const soft = [
      [0.25, 0.75, 0, 0],
      [0, 0, 1, 0],
      [0.5, 0, 0, 0.5],
    ]
    const mixed = (at: Rows): number => {
      const row = (place: number, own: number): number => reference.softmax([at[place] ?? []], of(own))
      return (0.25 * row(0, 0) + 0.75 * row(0, 1) + row(1, 2) + 0.5 * row(2, 0) + 0.5 * row(2, 3)) / 3
    }
    await agrees(add, x, soft, mixed)
    await agrees(softmaxCrossEntropySoft, x, soft, (at) => reference.softmax(at, soft))
  })

  it('refuses targets of another shape', () => {
    expect(refused(softmaxCrossEntropySoft, [null, 3], [null, 2], 'float32')).toThrow(/targets/)
    expect(refused(softmaxCrossEntropySoft, [null, 3], [null, 3], 'int32')).toThrow(/int32/)
  })
})

describe('sigmoidCrossEntropy', () => {
  it('is the mean over all elements, with smoothing and a positive weight', async () => {
    const x = rows(4, 3, 6)
    const targets = rows(4, 3).map((row, at) => row.map((value) => (at === 0 ? 0.25 : Number(value > 0))))
    for (const labelSmoothing of [0, 0.3])
      for (const positiveWeight of [1, 5]) {
        const options = { type: 'sigmoidCrossEntropy', labelSmoothing, positiveWeight } as const
        const add: Add = (g, logits, t) => sigmoidCrossEntropy(g, logits, t, options)
        await agrees(add, x, targets, (at) => reference.sigmoid(at, targets, options))
      }
  })

  it('has its slope at logits of 0 too, and stays finite for large ones', async () => {
    const { loss, gradient } = await lossByGraph(sigmoidCrossEntropy, [[0, 0]], [[0, 1]])
    expect(loss).toBeCloseTo(Math.LN2, 6)
    expect(gradient).toEqual([0.25, -0.25])
    const far = await lossByGraph(sigmoidCrossEntropy, [[1e30, -1e30, 500, -500]], [[1, 0, 0, 1]])
    expect(far.loss).toBe(250)
    expect(far.gradient).toEqual([0, 0, 0.25, -0.25])
  })
})

describe('meanSquaredError, meanAbsoluteError and huber', () => {
  const x = rows(4, 3)
  const targets = rows(4, 3)

  it('are means over all elements', async () => {
    await agrees(meanSquaredError, x, targets, (at) => reference.squared(at, targets))
    await agrees(meanAbsoluteError, x, targets, (at) => reference.absolute(at, targets))
    for (const delta of [0.5, 1, 4])
      await agrees(
        (g, y, t) => huber(g, y, t, delta),
        x,
        targets,
        (at) => reference.huber(at, targets, delta),
      )
  })

  it('have a slope of 0 where nothing is wrong, and huber its limit at delta and far beyond', async () => {
    for (const add of [meanSquaredError, meanAbsoluteError, huber])
      expect(await lossByGraph(add, [[1, 2]], [[1, 2]])).toEqual({ loss: 0, gradient: [0, 0] })
    const { gradient } = await lossByGraph(huber, [[1, -1, 1e30, 2 ** -30]], [[0, 0, 0, 0]])
    expect(gradient).toEqual([0.25, -0.25, 0.25, 2 ** -32])
  })

  it('refuse targets of another shape', () => {
    for (const add of [meanSquaredError, meanAbsoluteError, huber]) {
      expect(refused(add, [null, 2], [null, 3], 'float32')).toThrow(/targets \[batch, 3\]/)
      expect(refused(add, [null, 2], [null], 'float32')).toThrow(/targets/)
    }
  })
})

describe('triplet', () => {
  const triplets =
    (margin: number): Add =>
    (g, x, t) =>
      triplet(g, x, t, margin)

  it('takes the furthest row of the class and the nearest of another, for each row that has both', async () => {
    const x = rows(8, 3, 1)
    for (const classes of [
      [0, 1, 2, 0, 1, 2, 0, 1],
      [4, 4, 4, 4, 9, 9, 9, 9],
      // One row is alone in its class.
      [0, 0, 0, 1, 1, 1, 1, 7],
    ])
      for (const margin of [0.2, 1, 3])
        await agrees(triplets(margin), x, classes, (at) => reference.triplet(at, classes, margin))
  })

  it('is 0 when rows are all of one class, or each of its own, and finite when embeddings are the same', async () => {
    const x = rows(3, 2)
    const nothing = { loss: 0, gradient: [0, 0, 0, 0, 0, 0] }
    expect(await lossByGraph(triplets(1), x, [5, 5, 5])).toEqual(nothing)
    expect(await lossByGraph(triplets(1), x, [1, 2, 3])).toEqual(nothing)
    const alike = [
      [1, 2],
      [1, 2],
      [1, 2],
      [1, 2],
    ]
    const { loss, gradient } = await lossByGraph(triplets(1), alike, [0, 0, 1, 1])
    expect(loss).toBeCloseTo(1, 6)
    expect(gradient.every((value) => Math.abs(value) < 1e-3)).toBe(true)
  })
})

describe('lossOf', () => {
  it('adds every loss of the config by what it takes', async () => {
    for (const name of lossNames) {
      const loss = lossOf(resolveLoss(name))
      const targets = loss.targets === 'classes' ? [0, 1, 0] : rows(3, 2).map((row) => row.map(Math.abs))
      const { gradient } = await lossByGraph((g, x, t) => loss.add(g, x, t), rows(3, 2), targets)
      expect(gradient.some((value) => value !== 0)).toBe(true)
    }
  })

  it('hands arguments on', async () => {
    const [x, targets] = [[[3, 0]], [[0, 0]]] as const
    const of = async (config: Parameters<typeof resolveLoss>[0]): Promise<number> => {
      const loss = lossOf(resolveLoss(config))
      return (await lossByGraph((g, y, t) => loss.add(g, y, t), x, loss.targets === 'classes' ? [1] : targets)).loss
    }
    expect(await of({ type: 'huber', delta: 2 })).toBe(2)
    expect(await of({ type: 'reconstruction' })).toBe(4.5)
    expect(await of({ type: 'reconstruction', by: 'sigmoidCrossEntropy' })).toBe(await of('sigmoidCrossEntropy'))
    expect(await of({ type: 'softmaxCrossEntropy', classWeights: [1, 2] })).toBeCloseTo(
      2 * (await of('softmaxCrossEntropy')),
      5,
    )
  })
})
