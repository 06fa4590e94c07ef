import { type ColumnsConfig, checkDataset } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { readCsv } from './csv.js'
import { tensorDataset, toDataset } from './dataset.js'
import { testFolder } from './files.fixture.js'

const { write } = testFolder()
const columns: ColumnsConfig['columns'] = {
  b: { type: 'number', impute: 'mean' },
  kind: { type: 'category' },
  note: { type: 'category', role: 'ignore' },
  a: { type: 'number' },
  state: { type: 'category', role: 'target' },
}
const load = () =>
  readCsv(write('pumps.csv', 'a,b,kind,state,note\n1,10,pump,ok,x\n2,,fan,broken,\n3,30,pump,ok,z\n'), {
    schema: { columns },
  })
const caught = (action: () => unknown) => {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}

describe('toDataset', () => {
  it('puts features in the order of the schema, and names classes', async () => {
    const dataset = toDataset(await load())
    checkDataset(dataset)
    expect(dataset).toMatchObject({
      inputs: { dtype: 'float32', shape: [3, 3], data: Float32Array.of(10, 1, 1, Number.NaN, 0, 2, 30, 1, 3) },
      targets: { dtype: 'int32', shape: [3], data: Int32Array.of(1, 0, 1) },
      features: ['b', 'kind', 'a'],
      classes: ['broken', 'ok'],
      schema: { features: ['b', 'kind', 'a'], columns: { kind: { values: ['fan', 'pump'] } } },
    })
  })

  it('takes other features and targets, and says so in its schema', async () => {
    const dataset = toDataset(await load(), { target: ['a'], features: ['kind', 'b'] })
    expect(dataset.targets).toEqual({ dtype: 'float32', shape: [3, 1], data: Float32Array.of(1, 2, 3) })
    expect(dataset.classes).toBeUndefined()
    expect(dataset.schema.features).toEqual(['kind', 'b'])
    expect(dataset.schema.columns['state']).toMatchObject({ role: 'ignore' })
  })

  it('names columns that are not there, no target, and targets that may be missing', async () => {
    const table = await load()
    expect(caught(() => toDataset(table, { target: 'x', features: ['note', 'a'] }))).toMatchObject({
      code: 'INPUT_REJECTED',
      data: { issues: ['column x is not in the table', 'column note is not in the table'] },
    })
    expect(caught(() => toDataset(table, { target: [], features: [] }))).toMatchObject({
      data: { issues: ["no target: give one, or a column the role 'target'", 'no features'] },
    })
    expect(caught(() => toDataset(table, { target: 'a', features: ['a'] }))).toMatchObject({
      data: { issues: ['column a is feature and target'] },
    })
    expect(caught(() => toDataset(table, { target: 'b' }))).toMatchObject({
      data: { issues: ['columns.b.impute: a target that is missing cannot be made up'] },
    })
  })
})

describe('tensorDataset', () => {
  const inputs = { dtype: 'float64', shape: [2, 1], data: Float64Array.of(0.5, 1) } as const

  it('makes float32 of inputs, int32 of whole targets and float32 rows of others', () => {
    expect(tensorDataset(inputs, { dtype: 'int64', shape: [2], data: BigInt64Array.of(1n, 0n) })).toEqual({
      inputs: { dtype: 'float32', shape: [2, 1], data: Float32Array.of(0.5, 1) },
      targets: { dtype: 'int32', shape: [2], data: Int32Array.of(1, 0) },
    })
    expect(tensorDataset(inputs, { dtype: 'float64', shape: [2], data: Float64Array.of(2, 3) }).targets).toEqual({
      dtype: 'float32',
      shape: [2, 1],
      data: Float32Array.of(2, 3),
    })
  })

  it('does not let a label beyond int32 come back as another class', () => {
    const dataset = tensorDataset(inputs, { dtype: 'int64', shape: [2], data: BigInt64Array.of(2n ** 32n + 1n, 0n) })
    expect(caught(() => checkDataset(dataset))).toMatchObject({ code: 'DATASET_INVALID' })
  })

  it('refuses rows that do not agree', () => {
    const targets = { dtype: 'uint8', shape: [3], data: Uint8Array.of(0, 1, 0) } as const
    expect(caught(() => tensorDataset(inputs, targets, { rowShape: [2] }))).toMatchObject({
      code: 'INPUT_REJECTED',
      data: {
        issues: ['rows of shape [2], but the file’s are [1]'.replace('’', "'"), '2 rows of inputs, but 3 of targets'],
      },
    })
  })
})
