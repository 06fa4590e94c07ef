import { checkDataset, type Tensor } from '@tideway/core'
import { columnNames, columnTransform, fitColumns, GraphBuilder, writeModel } from '@tideway/onnx'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { expect, it } from 'vitest'
import { readCsv } from './csv.js'
import { toDataset } from './dataset.js'
import { testFolder } from './files.fixture.js'

const { write } = testFolder()

/** The schema of docs/data.md. */
const schema = {
  columns: {
    temperature: {
      type: 'number',
      unit: '°C',
      min: -40,
      max: 85,
      missing: ['', 'NA'],
      impute: 'mean',
      scale: 'standard',
    },
    kind: { type: 'category', values: ['pump', 'fan'], unknown: 'other' },
    at: { type: 'time', origin: '2024-01-01T00:00:00Z', unit: 'days' },
    note: { type: 'category', role: 'ignore' },
    state: { type: 'category', role: 'target' },
  },
  onBadRow: 'drop',
} as const

it('takes a table from its file into the graph of a model that is fed raw columns', async () => {
  const rows = [
    '10,pump,2024-01-02,x,ok',
    '30,fan,2024-01-03,,broken',
    'NA,pump,2024-01-04,,ok',
    'hot,fan,2024-01-05,,ok',
    '999,fan,2024-01-05,,ok',
    '40,valve,2024-01-01T12:00:00Z,,broken',
  ]
  const path = write('pumps.csv', ['temperature,kind,at,note,state', ...rows].join('\n'))
  const table = await readCsv(path, { schema })
  expect(table.report).toMatchObject({
    rows: 4,
    dropped: 2,
    issues: [
      'line 5, temperature: text, must be a number from -40 to 85 °C',
      'line 6, temperature: a number out of range, must be a number from -40 to 85 °C',
    ],
  })
  const dataset = toDataset(table)
  checkDataset(dataset)
  const inputs = dataset.inputs.data as Float32Array
  // The last row is not for training: its temperature must not reach the statistics.
  const training: Tensor = { dtype: 'float32', shape: [3, 3], data: inputs.slice(0, 9) }
  const statistics = fitColumns(training, dataset.schema)
  const g = new GraphBuilder('pumps')
  g.output('y', columnTransform(g, g.input('columns', 'float32', [null, 3]), dataset.schema, statistics))
  const session = await InferenceSession.create(writeModel(g.build()), { intraOpNumThreads: 1 })
  const y = (await session.run({ columns: new OrtTensor('float32', inputs, [4, 3]) }))['y'] as OrtTensor
  expect(columnNames(dataset.schema, statistics)).toEqual(['temperature', 'at', 'kind=pump', 'kind=fan', 'kind=other'])
  // Mean 20, deviation 10 of the two temperatures that training knows.
  expect(Array.from(y.data as Float32Array, (value) => Math.round(value * 1e5) / 1e5)).toEqual(
    [
      [-1, 1, 1, 0, 0],
      [1, 2, 0, 1, 0],
      [0, 3, 1, 0, 0],
      [2, 0.5, 0, 0, 1],
    ].flat(),
  )
})
