import { describe, expect, it } from 'vitest'
import { canonicalJson } from '../nouns/sha256.js'
import { type ColumnsConfig, columnsOf, columnsSchema, resolveColumns } from './columns.js'

const config: ColumnsConfig = {
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
    at: { type: 'time', origin: '2024-01-01T00:00:00Z', role: 'ignore' },
    state: { type: 'category', role: 'target' },
  },
}

const rejected = (columns: ColumnsConfig['columns'], rest: Partial<ColumnsConfig> = {}) => {
  try {
    resolveColumns({ columns, ...rest })
  } catch (error) {
    return error
  }
  return undefined
}

describe('a column schema', () => {
  it('has every default filled in, and resolving it again changes nothing', () => {
    const resolved = resolveColumns(config)
    expect(resolved).toMatchObject({
      onBadRow: 'error',
      features: ['temperature', 'kind'],
      columns: { kind: { role: 'feature', oneHot: true, impute: 'none', missing: [''] }, at: { unit: 'days' } },
    })
    expect(resolveColumns(resolved)).toEqual(resolved)
  })

  it('keeps the order of its features where keys are sorted, as in canonical JSON and jsonb', () => {
    const resolved = resolveColumns(config)
    const sorted = columnsSchema.parse(JSON.parse(canonicalJson(resolved)))
    expect(Object.keys(sorted.columns)).not.toEqual(Object.keys(resolved.columns))
    expect(columnsOf(resolveColumns(sorted), 'feature')).toEqual(['temperature', 'kind'])
    expect(columnsOf(resolved, 'target')).toEqual(['state'])
  })

  it('wants the order written down for names that are whole numbers, which JavaScript would sort', () => {
    const columns = { b: { type: 'number' }, 7: { type: 'number' } } as const
    expect(rejected(columns)).toMatchObject({ code: 'INPUT_REJECTED' })
    expect(resolveColumns({ columns, features: ['b', '7'] }).features).toEqual(['b', '7'])
  })

  it.each<[string, ColumnsConfig['columns'], string]>([
    ['min above max', { a: { type: 'number', min: 2, max: 1 } }, 'columns.a.max: is below min'],
    ['an unknown option', { a: { type: 'number', units: 'K' } as never }, 'columns.a: Unrecognized key: "units"'],
    [
      'constant without fill',
      { a: { type: 'number', impute: 'constant' } },
      "columns.a.fill: is needed by impute 'constant'",
    ],
    ['fill without constant', { a: { type: 'number', fill: 1 } }, "columns.a.fill: needs impute 'constant'"],
    ['a value twice', { a: { type: 'category', values: ['x', 'x'] } }, 'columns.a.values: has a value twice'],
    [
      'a value that means missing',
      { a: { type: 'category', values: ['x', 'NA'], missing: ['NA'] } },
      'columns.a.values: has a value that also stands for missing',
    ],
    [
      'a fill outside the values',
      { a: { type: 'category', values: ['x'], impute: 'constant', fill: 'y' } },
      'columns.a.fill: is none of the values',
    ],
    [
      'a made-up target',
      { a: { type: 'number', role: 'target', impute: 'mean' } },
      'columns.a.impute: a target that is missing cannot be made up',
    ],
    [
      'two targets of classes',
      { a: { type: 'category', role: 'target' }, b: { type: 'category', role: 'target' } },
      'columns: a target of classes stands alone: there is more than one target',
    ],
    [
      'times out of order',
      { a: { type: 'time', origin: '2024-01-01T00:00:00Z', min: '2024-02-01T00:00:00Z', max: '2024-01-01T00:00:00Z' } },
      'columns.a.max: is below min',
    ],
    ['no column', {}, 'columns: has no column'],
  ])('is refused for %s, with the field named', (_, columns, issue) => {
    expect(rejected(columns)).toMatchObject({ code: 'INPUT_REJECTED', data: { issues: [issue] } })
  })

  it('names features that are missing from the order', () => {
    expect(rejected({ a: { type: 'number' }, b: { type: 'number' } }, { features: ['a', 'a'] })).toMatchObject({
      data: { issues: ['features: must name each column of role feature once: a, b'] },
    })
  })
})
