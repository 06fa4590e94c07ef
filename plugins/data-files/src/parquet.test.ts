import type { ColumnsConfig } from '@tideway/core'
import fc from 'fast-check'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, it } from 'vitest'
import { damaged, refusal, testFolder } from './files.fixture.js'
import { readParquet } from './parquet.js'

const { write } = testFolder()
let files = 0
type Written = Parameters<typeof parquetWriteBuffer>[0]
const parquet = (columnData: Written['columnData'], rest: Partial<Written> = {}) =>
  new Uint8Array(parquetWriteBuffer({ columnData, ...rest }))
const read = (content: Uint8Array, columns: ColumnsConfig['columns'], rest: Partial<ColumnsConfig> = {}, limits = {}) =>
  readParquet(write(`${files++}.parquet`, content), { schema: { columns, ...rest }, limits })

const columns: ColumnsConfig['columns'] = {
  a: { type: 'number', impute: 'mean' },
  kind: { type: 'category' },
}
const pumps = (rows: number): Written['columnData'] => [
  { name: 'kind', data: Array.from({ length: rows }, (_, at) => (at % 3 === 0 ? 'pump' : 'fan')), type: 'STRING' },
  { name: 'unused', data: Array.from({ length: rows }, (_, at) => BigInt(at)), type: 'INT64' },
  { name: 'a', data: Array.from({ length: rows }, (_, at) => at / 2), type: 'DOUBLE' },
]

describe('readParquet', () => {
  it.each(['UNCOMPRESSED', 'SNAPPY'] as const)('reads columns by name over several row groups, %s', async (codec) => {
    const table = await read(parquet(pumps(1000), { codec, rowGroupSize: 300 }), columns)
    expect(table.rows).toBe(1000)
    expect(table.schema.columns['kind']).toMatchObject({ values: ['fan', 'pump'] })
    expect(Array.from(table.columns['a'] ?? [])).toEqual(Array.from({ length: 1000 }, (_, at) => at / 2))
    expect(Array.from(table.columns['kind'] ?? [])).toEqual(
      Array.from({ length: 1000 }, (_, at) => (at % 3 === 0 ? 1 : 0)),
    )
    expect(Object.keys(table.columns)).toEqual(['a', 'kind'])
  })

  it('reads every kind of number, bools, times, categories that are numbers, and nulls', async () => {
    const table = await read(
      parquet([
        { name: 'int', data: [1, null, 3], type: 'INT32', nullable: true },
        { name: 'long', data: [1n, 2n, 2n ** 40n], type: 'INT64' },
        { name: 'float', data: [0.5, 1.5, -2], type: 'FLOAT' },
        { name: 'flag', data: [true, false, true], type: 'BOOLEAN' },
        { name: 'code', data: [7, 30, 7], type: 'INT32' },
        {
          name: 'at',
          data: ['2024-01-02', '2024-01-01', '2024-01-03T12:00:00Z'].map((text) => new Date(text)),
          type: 'TIMESTAMP',
        },
      ]),
      {
        int: { type: 'number', impute: 'median' },
        long: { type: 'number' },
        float: { type: 'number' },
        flag: { type: 'number' },
        code: { type: 'category', values: ['30', '7'] },
        at: { type: 'time', origin: '2024-01-01T00:00:00Z' },
      },
    )
    expect(
      Object.fromEntries(Object.entries(table.columns).map(([name, values]) => [name, Array.from(values)])),
    ).toEqual({
      int: [1, Number.NaN, 3],
      long: [1, 2, 2 ** 40],
      float: [0.5, 1.5, -2],
      flag: [1, 0, 1],
      code: [1, 0, 1],
      at: [1, 0, 2.5],
    })
  })

  it('names bad values by row, column and kind, or drops and counts them', async () => {
    const bytes = parquet(
      [
        { name: 'a', data: [1, 900, null, 2], type: 'DOUBLE', nullable: true },
        { name: 'kind', data: ['x', 'y', 'x', 'geheim'], type: 'STRING' },
      ],
      { rowGroupSize: 2 },
    )
    const strict: ColumnsConfig['columns'] = {
      a: { type: 'number', max: 100 },
      kind: { type: 'category', values: ['x', 'y'] },
    }
    const { code, issues, error } = await refusal(read(bytes, strict))
    expect([code, issues]).toEqual([
      'PARQUET_INVALID',
      [
        'row 2, a: a number out of range, must be a number of at most 100',
        'row 3, a: missing, must be a number of at most 100',
        'row 4, kind: text, must be x or y',
      ],
    ])
    expect(JSON.stringify(error) + error.message).not.toMatch(/geheim|900/)
    expect((await read(bytes, strict, { onBadRow: 'drop' })).report).toMatchObject({ rows: 1, dropped: 3 })
  })

  it('names columns that are missing or hold lists', async () => {
    const bytes = parquet([{ name: 'a', data: [{ x: [1] }], type: 'JSON' }])
    expect((await refusal(read(bytes, columns))).issues).toEqual(['column kind is missing'])
    expect((await refusal(read(bytes, { a: { type: 'number' } }))).issues).toEqual([
      'row 1, a: bytes or a structure, must be a number',
    ])
    const lists = parquet([{ name: 'a', data: [[1, 2]] }], {
      schema: [
        { name: 'root', num_children: 1 },
        { name: 'a', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', type: 'INT32', repetition_type: 'OPTIONAL' },
      ],
    })
    expect((await refusal(read(lists, { a: { type: 'number' } }))).issues).toEqual([
      'column a holds lists or structures, not one value a row',
    ])
  })

  it.each([
    ['maxFileBytes', 100],
    ['maxRows', 10],
    ['maxColumns', 2],
    ['maxPageBytes', 100],
    ['maxDecodedBytes', 1000],
  ])('holds %s before it decodes', async (limit, allowed) => {
    const { error } = await refusal(read(parquet(pumps(1000)), columns, {}, { [limit]: allowed }))
    expect(error).toMatchObject({ code: 'DATA_LIMIT_EXCEEDED', data: { limit, allowed } })
  })

  it('refuses what is no Parquet, and what was cut', async () => {
    const whole = parquet(pumps(10))
    for (const bytes of [
      Buffer.from('PAR1'),
      Buffer.from('no parquet at all'),
      whole.subarray(0, -1),
      whole.subarray(20),
    ])
      expect(await refusal(read(bytes, columns))).toMatchObject({ code: 'PARQUET_INVALID' })
  })

  it('reads or refuses with a code and bounded memory whatever bytes come', async () => {
    const part = fc.double({ min: 0, max: 0.999, noNaN: true })
    const wholes = [
      parquet(pumps(50), { codec: 'SNAPPY', rowGroupSize: 20 }),
      parquet(
        [
          { name: 'a', data: [1, null, 3], nullable: true },
          { name: 'kind', data: ['x', 'x', 'y'] },
        ],
        { codec: 'UNCOMPRESSED' },
      ),
    ]
    const before = process.memoryUsage().rss
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...wholes),
        fc.array(fc.tuple(part, part), { minLength: 1, maxLength: 3 }),
        async (whole, changes) => {
          try {
            await read(
              damaged(whole, changes, 1),
              columns,
              { onBadRow: 'drop' },
              { maxRows: 10_000, maxPageBytes: 1_000_000, maxDecodedBytes: 10_000_000 },
            )
          } catch (error) {
            expect((error as { code?: string }).code).toMatch(/^(PARQUET_INVALID|DATA_LIMIT_EXCEEDED)$/)
          }
        },
      ),
      { numRuns: 400 },
    )
    expect(process.memoryUsage().rss - before).toBeLessThan(500_000_000)
  })
})
