import type { Augment, Balance, TrainData } from '@tideway/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { shuffled } from '../random.js'
import { type AugmentCheck, augmentIssues } from './check.js'
import { type Feeder, type FeederOptions, openFeeder } from './feeder.js'
import { geometryOf } from './geometry.js'
import { classWeights } from './order.js'

const rows = 45
const label = (row: number): number => (row < 30 ? 0 : row < 42 ? 1 : 3)
const geometry = geometryOf([4, 4, 1])
const bytes: TrainData = {
  inputs: { dtype: 'uint8', shape: [rows, 4, 4, 1], data: Uint8Array.from({ length: rows * 16 }, (_, n) => n % 251) },
  targets: { dtype: 'int32', shape: [rows], data: Int32Array.from({ length: rows }, (_, row) => label(row)) },
}
const floats: TrainData = {
  inputs: { dtype: 'float32', shape: [rows, 4, 4, 1], data: Float32Array.from(bytes.inputs.data as Uint8Array) },
  targets: {
    dtype: 'float32',
    shape: [rows, 2],
    data: Float32Array.from({ length: rows * 2 }, (_, n) => n / 7),
  },
}
const everything: Augment = [
  { type: 'shift', x: 1, y: 0.2 },
  { type: 'rotate', degrees: 20, probability: 0.5 },
  { type: 'noise', stddev: 0.1 },
  { type: 'cutout', size: 2 },
  { type: 'mixup', alpha: 0.3 },
]

function opened(options: Partial<FeederOptions> = {}): Feeder {
  const feeder = openFeeder({ train: bytes, batchSize: 4, stepsARun: 3, seed: 9, geometry, classes: 4, ...options })
  onTestFinished(() => feeder.close())
  return feeder
}

/** All batches of an epoch, as numbers. */
async function read(feeder: Feeder, epoch: number): Promise<{ rows: number; inputs: number[]; targets: number[] }[]> {
  const width = feeder.targets.shape.reduce((product, size) => product * size, 1)
  const batches: { rows: number; inputs: number[]; targets: number[] }[] = []
  for await (const { rows: size, steps, fill } of feeder.epoch(epoch))
    for (let step = 0; step < steps; step++) {
      const inputs = feeder.inputs.dtype === 'uint8' ? new Uint8Array(size * 16) : new Float32Array(size * 16)
      const targets = feeder.targets.dtype === 'int32' ? new Int32Array(size * width) : new Float32Array(size * width)
      fill(step, inputs, targets)
      batches.push({ rows: size, inputs: [...inputs], targets: [...targets] })
    }
  return batches
}

describe('openFeeder', () => {
  it.each([0, 1])(
    'gives the rows in the order of the seed with %d workers, unchanged without augmentation',
    async (workers) => {
      const feeder = opened({ workers })
      const batches = await read(feeder, 2)
      const order = shuffled(rows, 9, 2)
      expect(batches.map((batch) => batch.rows)).toEqual([...Array<number>(11).fill(4), 1])
      expect(feeder).toMatchObject({ rows, steps: 12, targets: { dtype: 'int32', shape: [] } })
      expect(batches.flatMap((batch) => batch.targets)).toEqual([...order].map(label))
      expect(batches.flatMap((batch) => batch.inputs)).toEqual(
        [...order].flatMap((row) => [...(bytes.inputs.data as Uint8Array).subarray(row * 16, (row + 1) * 16)]),
      )
    },
  )

  it.each<[string, TrainData, number | undefined, Balance]>([
    ['bytes and classes', bytes, 4, 'none'],
    ['bytes and balanced classes', bytes, 4, 'oversample'],
    ['floats and values', floats, undefined, 'none'],
  ])('gives the same bits with 0, 1 and 2 workers and from any epoch on: %s', async (_, train, classes, balance) => {
    const options = { train, classes, balance, augment: everything }
    const one = opened({ ...options, workers: 0 })
    const epochs = [await read(one, 0), await read(one, 1), await read(one, 2)]
    expect(epochs[0]).not.toEqual(epochs[1])
    for (const workers of [1, 2]) {
      const whole = opened({ ...options, workers })
      for (const [epoch, batches] of epochs.entries()) expect(await read(whole, epoch)).toEqual(batches)
      expect(await read(opened({ ...options, workers }), 2)).toEqual(epochs[2])
      // Back to an earlier epoch.
      expect(await read(whole, 1)).toEqual(epochs[1])
    }
    expect(await read(opened({ ...options, workers: 0, seed: 10 }), 0)).not.toEqual(epochs[0])
  })

  it('augments a row that comes twice in an epoch in two ways', async () => {
    const batches = await read(
      opened({ workers: 0, balance: 'oversample', augment: [{ type: 'noise', stddev: 0.2 }] }),
      0,
    )
    const all = batches.flatMap(({ inputs, rows: size }) =>
      Array.from({ length: size }, (_, row) => inputs.slice(row * 16, (row + 1) * 16).join()),
    )
    expect(new Set(all).size).toBe(90)
  })

  it('oversamples every class to the size of the largest, its rows equally often or once more', async () => {
    const counts = new Map<number, number>()
    const feeder = opened({ workers: 0, balance: 'oversample' })
    const batches = await read(feeder, 0)
    const values = batches.flatMap((batch) => batch.targets)
    expect(feeder.rows).toBe(90)
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
    expect(Object.fromEntries(counts)).toEqual({ 0: 30, 1: 30, 3: 30 })
    const times = new Map<string, number>()
    for (const { inputs, rows: size } of batches)
      for (let row = 0; row < size; row++) {
        const key = inputs.slice(row * 16, (row + 1) * 16).join()
        times.set(key, (times.get(key) ?? 0) + 1)
      }
    const sorted = [...times.values()].sort((a, b) => a - b)
    expect(sorted).toEqual([
      ...Array<number>(30).fill(1),
      ...Array<number>(6).fill(2),
      ...Array<number>(6).fill(3),
      10,
      10,
      10,
    ])
  })

  it('mixes classes to shares that add up to 1 for each row', async () => {
    const feeder = opened({ workers: 0, augment: [{ type: 'mixup', alpha: 1 }] })
    expect(feeder.targets).toEqual({ dtype: 'float32', shape: [4] })
    for (const { rows: size, targets } of await read(feeder, 0))
      for (let row = 0; row < size; row++)
        expect(targets.slice(row * 4, row * 4 + 4).reduce((a, b) => a + b)).toBeCloseTo(1, 6)
  })

  it('starts anew after an epoch that was left early, and ends its threads when closed in the middle of one', async () => {
    const feeder = opened({ workers: 2, augment: everything })
    for await (const { steps } of feeder.epoch(0)) {
      expect(steps).toBe(3)
      break
    }
    expect(await read(feeder, 1)).toEqual(await read(opened({ workers: 0, augment: everything }), 1))
    const steps = feeder.epoch(2)
    await steps.next()
    await feeder.close()
    await feeder.close()
  })

  it.each([
    ['throws', 'throw new Error("no memory")', 'no memory'],
    ['exits', 'process.exit(3)', 'it ended with code 3'],
    ['throws what is no error', 'throw "nothing"', 'nothing'],
  ])('says that a worker failed when it %s, rather than wait for it', async (_, program, reason) => {
    const feeder = opened({ workers: 2, entry: new URL(`data:text/javascript,${encodeURIComponent(program)}`) })
    await expect(read(feeder, 0)).rejects.toMatchObject({ code: 'BATCH_WORKER_FAILED', data: { reason } })
  })
})

describe('classWeights', () => {
  it('weighs every class that has rows alike in the whole, and rows by 1 in the mean', () => {
    const labels = bytes.targets.data as Int32Array
    const weights = classWeights(labels, 4)
    expect([...weights]).toEqual([0.5, 1.25, 0, 5])
    expect(labels.reduce((sum, value) => sum + (weights[value] as number), 0)).toBeCloseTo(rows, 4)
  })
})

describe('geometryOf', () => {
  it('tells images from series by their axes, and layouts by the image', () => {
    expect(geometryOf([28, 20, 3])).toMatchObject({ kind: 'image', height: 28, width: 20, channels: 3 })
    expect(geometryOf([784], [28, 28, 1])).toMatchObject({ kind: 'image', height: 28, layout: 'channelsLast' })
    expect(geometryOf([3, 28, 20], [28, 20, 3])).toMatchObject({ height: 28, channels: 3, layout: 'channelsFirst' })
    expect(geometryOf([100, 6])).toMatchObject({ kind: 'series', height: 100, width: 1, channels: 6 })
    expect(geometryOf([100])).toMatchObject({ kind: 'series', height: 100, channels: 1 })
    expect(geometryOf([784], [28, 28, 3])).toBeUndefined()
    expect(geometryOf([2, 3, 4, 5])).toBeUndefined()
  })
})

describe('augmentIssues', () => {
  const check = (options: Partial<AugmentCheck>): string[] =>
    augmentIssues({ geometry, inputs: 'uint8', classes: 4, ...options })

  it('finds nothing wrong with steps that fit the rows', () => {
    expect(check({ augment: everything, balance: 'oversample' })).toEqual([])
    expect(check({ geometry: undefined, augment: [{ type: 'mixup', alpha: 1 }] })).toEqual([])
  })

  it('names every step that does not', () => {
    expect(
      check({
        augment: [
          { type: 'jitter', stddev: 1 },
          { type: 'crop', height: 5, width: 4 },
        ],
      }),
    ).toEqual([
      'augment.0: jitter is for series: rows of [steps, features]',
      "augment.1: height 5 is more than the row's 4",
    ])
    expect(check({ augment: [{ type: 'mixup', alpha: 1 }, { type: 'crop', padding: 1 }, { type: 'shift' }] })).toEqual([
      'augment.0: mixup must be the last step',
      'augment.2: needs x or y',
    ])
    expect(check({ augment: [{ type: 'crop', height: 3 }, { type: 'flip' }] })).toHaveLength(2)
    expect(check({ classes: undefined, balance: 'weights' })).toEqual(['balance: weights needs classes as targets'])
    expect(check({ inputs: 'int32', geometry: undefined, augment: [{ type: 'rotate', degrees: 3 }] })).toHaveLength(2)
  })
})
