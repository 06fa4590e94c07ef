import {
  type ColumnsConfig,
  defineNetwork,
  layers,
  type NetworkConfig,
  type TrainData,
  type TrainJob,
} from '@tideway/core'
import { trainableOf } from '@tideway/training'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { createOnnxTrainer } from './trainer.js'

const NONE = Number.NaN
const schema: ColumnsConfig = {
  columns: {
    kind: { type: 'category', values: ['pump', 'fan', 'press'], unknown: 'other', impute: 'mostFrequent' },
    temperature: { type: 'number', impute: 'mean', scale: 'standard' },
    load: { type: 'number', impute: 'median', scale: 'minMax' },
  },
}
const network = (columns: ColumnsConfig, width = 3): NetworkConfig => ({
  input: { name: 'row', shape: [width] },
  output: { name: 'y' },
  layers: [layers.columns({ name: 'table', columns }), layers.dense({ units: 2, activation: 'softmax' })],
})
const tensor = (rows: readonly (readonly number[])[]) => ({
  dtype: 'float32' as const,
  shape: [rows.length, rows[0]?.length ?? 0],
  data: Float32Array.from(rows.flat()),
})

/** A fan, or a hot machine, fails; every seventh temperature is missing and every eleventh kind. */
function table(rows: number, shift: number): TrainData {
  const cells = Array.from({ length: rows }, (_, at) => {
    const kind = (at * 7 + shift) % 3
    const temperature = 200 + ((at * 37 + shift) % 100)
    return { row: [at % 11 === 5 ? NONE : kind, at % 7 === 3 ? NONE : temperature, at % 5], failed: kind === 1 }
  })
  const targets = Int32Array.from(cells, ({ failed }) => Number(failed))
  return { inputs: tensor(cells.map(({ row }) => row)), targets: { dtype: 'int32', shape: [rows], data: targets } }
}
const job: TrainJob = {
  network: network(schema),
  loss: 'softmaxCrossEntropy',
  optimizer: { type: 'adam', learningRate: 0.05 },
  batchSize: 32,
  epochs: 12,
  seed: 1,
}

describe('the columns layer', () => {
  it('trains on missing values and categories; the shipped model takes raw columns and scores what training measured', async () => {
    const validation = table(110, 1)
    const trained = await createOnnxTrainer({ threads: 1 }).fit(job, { train: table(330, 0), validation })
    const session = await InferenceSession.create(trained.onnx, { intraOpNumThreads: 1 })
    const { y } = await session.run({ row: new Tensor('float32', validation.inputs.data as Float32Array, [110, 3]) })
    const shares = y?.data as Float32Array
    const labels = validation.targets.data as Int32Array
    const right = labels.reduce(
      (sum, label, row) => sum + Number((shares[2 * row + 1] ?? 0) > 0.5 === (label === 1)),
      0,
    )
    const loss = labels.reduce((sum, label, row) => sum - Math.log(shares[2 * row + label] ?? 0) / 110, 0)
    expect(right / 110).toBeCloseTo(trained.metrics['valAccuracy'] ?? 0, 6)
    // Float32 sums in another order.
    expect(loss).toBeCloseTo(trained.metrics['valLoss'] ?? 0, 5)
    expect(right / 110).toBeGreaterThan(0.9)
  })

  it('keeps statistics of the training rows alone', async () => {
    const fitted = trainableOf(network(schema)).fit?.(
      tensor([
        [0, 10, 0],
        [0, NONE, 4],
        [2, 30, NONE],
        [NONE, 20, 1],
      ]),
    )
    // Mean 20 of 10, 30, 20; median 1 of 0, 4, 1; the commonest kind is 0, and no row is a fan.
    expect(fitted?.get('table/fill')).toEqual(Float32Array.of(20, 1))
    expect(fitted?.get('table/offset')).toEqual(Float32Array.of(20, 0))
    expect(fitted?.get('table/factor')).toEqual(Float32Array.of(Math.sqrt(3 / 200), 0.25))
    expect(fitted?.get('table/category_0_fill')).toEqual(Float32Array.of(0))
    expect(fitted?.get('table/category_0_known')).toEqual(Float32Array.of(0, -0.5, 2))

    const [validation, other] = [table(110, 1), table(110, 1)]
    const raw = other.inputs.data as Float32Array
    raw.fill(5_000, 4, 9)
    const fit = (rows: TrainData) =>
      createOnnxTrainer({ threads: 1 }).fit({ ...job, epochs: 1 }, { train: table(66, 0), validation: rows })
    const [one, same] = [await fit(validation), await fit(other)]
    expect(same.onnx).toEqual(one.onnx)
    expect(same.metrics['valLoss']).not.toBe(one.metrics['valLoss'])
  })

  it('refuses a missing value of a column that allows none, and shapes and places that do not fit', async () => {
    const strict = network({ columns: { a: { type: 'number' }, b: { type: 'number', impute: 'mean' } } }, 2)
    const targets = { dtype: 'int32' as const, shape: [2], data: Int32Array.of(0, 1) }
    const fit = (rows: readonly (readonly number[])[]) =>
      createOnnxTrainer({ threads: 1 }).fit(
        { ...job, network: strict, epochs: 1 },
        { train: { inputs: tensor(rows), targets } },
      )
    await expect(
      fit([
        [1, NONE],
        [NONE, 2],
      ]),
    ).rejects.toMatchObject({
      code: 'TRAIN_DATA_INVALID',
      data: { issues: [expect.stringContaining('row 1')] },
    })
    expect(
      (
        await fit([
          [1, NONE],
          [3, 2],
        ])
      ).epochs,
    ).toBe(1)
    expect(() => defineNetwork(network(schema, 4))).toThrow(/needs rows \[3\]/)
    const unlisted = network({ columns: { kind: { type: 'category' } } }, 1)
    expect(() => defineNetwork(unlisted)).toThrow(/values of column kind listed/)
    const late = { ...strict, layers: [layers.rescaling({ scale: 2 }), ...strict.layers] }
    expect(() => defineNetwork(late)).toThrow(/only the network's input may come before/)
  })
})
