import { type Columns, type ColumnsConfig, resolveColumns, type Tensor } from '@tideway/core'
import fc from 'fast-check'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { writeModel } from '../format/write.js'
import { fitColumns } from './fit.js'
import type { ColumnStatistics } from './statistics.js'
import { columnNames, columnTransform } from './transform.js'

type Row = readonly number[]
const NONE = Number.NaN

const tensor = (rows: readonly Row[], width: number): Tensor => ({
  dtype: 'float32',
  shape: [rows.length, width],
  data: Float32Array.from(rows.flat()),
})

/** onnxruntime on the graph piece alone. */
async function inGraph(columns: Columns, statistics: ColumnStatistics, rows: readonly Row[]): Promise<number[][]> {
  const g = new GraphBuilder('columns')
  const width = columns.features.length
  const y = columnTransform(g, g.input('x', 'float32', [null, width]), columns, statistics)
  g.output('y', y)
  expect(y.shape).toEqual(['batch', columnNames(columns, statistics).length])
  const session = await InferenceSession.create(writeModel(g.build()), { intraOpNumThreads: 1, logSeverityLevel: 3 })
  const x = new OrtTensor('float32', Float32Array.from(rows.flat()), [rows.length, width])
  const out = (await session.run({ x }))['y'] as OrtTensor
  const [count = 0, columnsOut = 0] = out.dims
  const data = out.data as Float32Array
  return Array.from({ length: count }, (_, row) => Array.from(data.slice(row * columnsOut, (row + 1) * columnsOut)))
}

/** The same by its definition, row by row in float64. */
function byHand(columns: Columns, training: readonly Row[], rows: readonly Row[]): number[][] {
  const raw = (name: string, from: readonly Row[]) =>
    from.map((row) => Math.fround(row[columns.features.indexOf(name)] ?? NONE))
  const held = (name: string) => raw(name, training).filter((value) => !Number.isNaN(value))
  const numbers = columns.features.filter((name) => columns.columns[name]?.type === 'number')
  const categories = columns.features.filter((name) => !numbers.includes(name))
  return rows.map((_, at) => [
    ...numbers.map((name) => {
      const column = columns.columns[name]
      if (column?.type !== 'number') throw new Error(name)
      const seen = held(name).sort((a, b) => a - b)
      const mean = seen.reduce((a, b) => a + b, 0) / seen.length
      const std = Math.sqrt(seen.reduce((a, b) => a + (b - mean) ** 2, 0) / seen.length)
      const [low, high] = [seen[0] ?? 0, seen.at(-1) ?? 0]
      const middle = ((seen[Math.floor((seen.length - 1) / 2)] ?? 0) + (seen[Math.floor(seen.length / 2)] ?? 0)) / 2
      const fill = { none: NONE, mean, median: middle, constant: column.fill ?? NONE }[column.impute]
      const value = raw(name, rows)[at] ?? NONE
      const known = Number.isNaN(value) ? fill : value
      if (column.scale === 'standard') return (known - mean) / (low === high ? 1 : std)
      return column.scale === 'minMax' ? (known - low) / (low === high ? 1 : high - low) : known
    }),
    ...categories.flatMap((name) => {
      const column = columns.columns[name]
      if (column?.type !== 'category' || column.values === undefined) throw new Error(name)
      const seen = held(name)
      const rowsOf = (index: number) => seen.filter((value) => value === index).length
      const most = Math.max(...column.values.map((_, index) => rowsOf(index)))
      const commonest = column.values.findIndex((_, index) => rowsOf(index) === most)
      const fill = { none: NONE, mostFrequent: commonest, constant: column.values.indexOf(column.fill ?? '') }[
        column.impute
      ]
      const value = raw(name, rows)[at] ?? NONE
      const known = Number.isNaN(value) ? fill : value
      const slots: number[] = column.values.map((_, index) => (index === known && rowsOf(index) > 0 ? 1 : 0))
      const other = slots.includes(1) ? 0 : 1
      if (!column.oneHot) return column.unknown === 'other' && other === 1 ? column.values.length : known
      return column.unknown === 'other' ? [...slots, other] : slots
    }),
  ])
}

/** Float32 of numbers up to 100, scaled by a deviation of at least 0.01: half a unit in the last place, times 100 / 0.01. */
const TOLERANCE = 2e-3

const VALUES = ['a', 'b', 'c']
const number = fc.integer({ min: -1000, max: 1000 }).map((value) => value / 10)
const schema = fc
  .array(
    fc.oneof(
      fc.record({
        type: fc.constant('number' as const),
        impute: fc.constantFrom('mean' as const, 'median' as const, 'constant' as const),
        scale: fc.constantFrom('standard' as const, 'minMax' as const, 'none' as const),
        fill: number,
      }),
      fc.record({
        type: fc.constant('category' as const),
        impute: fc.constantFrom('mostFrequent' as const, 'constant' as const),
        oneHot: fc.boolean(),
        unknown: fc.constantFrom('error' as const, 'other' as const),
        fill: fc.constantFrom(...VALUES),
      }),
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((items) => {
    const columns: ColumnsConfig['columns'] = {}
    for (const [at, { fill, ...item }] of items.entries()) {
      const values = item.type === 'category' ? { values: VALUES } : {}
      columns[`c${at}`] = {
        ...item,
        ...values,
        ...(item.impute === 'constant' && { fill }),
      } as ColumnsConfig['columns'][string]
    }
    return resolveColumns({ columns })
  })

const rowsFor = (columns: Columns, { missing }: { missing: boolean }) => {
  const cells = columns.features.map((name) => {
    const cell = columns.columns[name]?.type === 'number' ? number : fc.integer({ min: 0, max: VALUES.length - 1 })
    return missing ? fc.oneof({ weight: 3, arbitrary: cell }, { weight: 1, arbitrary: fc.constant(NONE) }) : cell
  })
  return fc.tuple(...cells)
}
const table = schema.chain((columns) =>
  fc.record({
    columns: fc.constant(columns),
    // One row without holes, so that every column has a value to be fitted on.
    whole: rowsFor(columns, { missing: false }),
    training: fc.array(rowsFor(columns, { missing: true }), { maxLength: 8 }),
    later: fc.array(rowsFor(columns, { missing: true }), { minLength: 1, maxLength: 5 }),
  }),
)

describe('columnTransform', () => {
  it('gives what its definition gives in float64, for any schema and rows, also with missing values', async () => {
    await fc.assert(
      fc.asyncProperty(table, async ({ columns, whole, training, later }) => {
        const fitted = [whole, ...training]
        const statistics = fitColumns(tensor(fitted, columns.features.length), columns)
        const rows = [...fitted, ...later]
        const expected = byHand(columns, fitted, rows)
        for (const [row, values] of (await inGraph(columns, statistics, rows)).entries())
          for (const [at, value] of values.entries())
            expect(Math.abs(value - (expected[row]?.[at] ?? NONE))).toBeLessThanOrEqual(TOLERANCE)
      }),
      { numRuns: 150 },
    )
  })

  it('gives the published example of scikit-learn’s StandardScaler', async () => {
    const columns = resolveColumns({
      columns: { a: { type: 'number', scale: 'standard' }, b: { type: 'number', scale: 'standard' } },
    })
    const rows = [
      [0, 0],
      [0, 0],
      [1, 1],
      [1, 1],
    ]
    const statistics = fitColumns(tensor(rows, 2), columns)
    expect(statistics).toMatchObject([
      { mean: 0.5, std: 0.5 },
      { mean: 0.5, std: 0.5 },
    ])
    expect(await inGraph(columns, statistics, [...rows, [2, 2]])).toEqual([
      [-1, -1],
      [-1, -1],
      [1, 1],
      [1, 1],
      [3, 3],
    ])
  })

  it('sends a category that is unknown, missing or was never trained on to the place of others', async () => {
    const kind = { type: 'category', values: VALUES, unknown: 'other' } as const
    const columns = resolveColumns({ columns: { kind, plain: { ...kind, oneHot: false } } })
    const statistics = fitColumns(
      tensor(
        [
          [0, 0],
          [1, 1],
          [-1, -1],
        ],
        2,
      ),
      columns,
    )
    expect(columnNames(columns, statistics)).toEqual(['kind=a', 'kind=b', 'kind=c', 'kind=other', 'plain'])
    expect(
      await inGraph(columns, statistics, [
        [1, 1],
        [2, 2],
        [-1, -1],
        [99, 99],
        [NONE, NONE],
      ]),
    ).toEqual([
      [0, 1, 0, 0, 1],
      [0, 0, 0, 1, 3],
      [0, 0, 0, 1, 3],
      [0, 0, 0, 1, 3],
      [0, 0, 0, 1, 3],
    ])
  })

  it('leaves a missing number visible where the schema allows none, and moves a column that never changes', async () => {
    const columns = resolveColumns({ columns: { a: { type: 'number' }, b: { type: 'number', scale: 'standard' } } })
    const statistics = fitColumns(
      tensor(
        [
          [1, 5],
          [2, 5],
        ],
        2,
      ),
      columns,
    )
    expect(
      await inGraph(columns, statistics, [
        [NONE, 5],
        [3, 6],
      ]),
    ).toEqual([
      [NONE, 0],
      [3, 1],
    ])
  })

  it('refuses statistics of other columns and an input of another width', () => {
    const columns = resolveColumns({ columns: { a: { type: 'number' } } })
    const others = fitColumns(tensor([[1]], 1), resolveColumns({ columns: { b: { type: 'number' } } }))
    const g = new GraphBuilder('columns')
    expect(() => columnTransform(g, g.input('x', 'float32', [null, 2]), columns, others)).toThrow(
      expect.objectContaining({
        code: 'COLUMNS_INVALID',
        data: { issues: ['column a: place 0 has statistics of b', '"x" is float32 [batch, 2], not float [rows, 1]'] },
      }) as Error,
    )
  })
})

describe('fitColumns', () => {
  it('leaves missing values out, and gives plain JSON', () => {
    const columns = resolveColumns({
      columns: {
        a: { type: 'number', impute: 'median' },
        k: { type: 'category', values: VALUES, impute: 'mostFrequent' },
      },
    })
    const statistics = fitColumns(
      tensor(
        [
          [1, 0],
          [NONE, 2],
          [4, 2],
          [10, NONE],
        ],
        2,
      ),
      columns,
    )
    expect(statistics).toEqual([
      {
        name: 'a',
        kind: 'number',
        count: 3,
        missing: 1,
        mean: 5,
        std: expect.closeTo(Math.sqrt(14), 12),
        min: 1,
        max: 10,
        median: 4,
      },
      { name: 'k', kind: 'category', counts: [1, 0, 2], missing: 1, other: 0 },
    ])
    expect(JSON.parse(JSON.stringify(statistics))).toEqual(statistics)
  })

  it('keeps its digits when the mean is large against the spread', () => {
    const columns = resolveColumns({ columns: { a: { type: 'number' } } })
    const data = Float64Array.of(1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16)
    expect(fitColumns({ dtype: 'float64', shape: [4, 1], data }, columns)).toMatchObject([
      { mean: 1e9 + 10, std: Math.sqrt(22.5) },
    ])
  })

  it('names every column that cannot be fitted', () => {
    const columns = resolveColumns({
      columns: {
        empty: { type: 'number', impute: 'mean' },
        hole: { type: 'number' },
        huge: { type: 'number' },
        kind: { type: 'category', values: VALUES },
        open: { type: 'category', impute: 'constant', fill: 'a' },
      },
    })
    const rows = [
      [NONE, 1, 1, 0, 0],
      [NONE, NONE, Infinity, 7, 0],
    ]
    expect(() => fitColumns(tensor(rows, 5), columns)).toThrow(
      expect.objectContaining({
        code: 'COLUMNS_INVALID',
        data: {
          issues: [
            'column empty: no training row has a value',
            "column hole: 1 values are missing and impute is 'none'",
            'column huge: a value is infinite',
            'column kind: 1 rows have no category of the vocabulary',
            "column open: impute 'constant' needs the values listed",
          ],
        },
      }) as Error,
    )
  })
})
