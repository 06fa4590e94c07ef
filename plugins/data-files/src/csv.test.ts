import type { ColumnsConfig } from '@tideway/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CsvOptions, readCsv } from './csv.js'
import { damaged, refusal, testFolder } from './files.fixture.js'

const { dir, write } = testFolder()
const two: ColumnsConfig['columns'] = { a: { type: 'number' }, b: { type: 'category' } }
let files = 0
const read = (content: string | Uint8Array, options: Partial<CsvOptions> = {}, schema: Partial<ColumnsConfig> = {}) =>
  readCsv(write(`${files++}.csv`, content), { schema: { columns: two, ...schema }, ...options })

describe('readCsv', () => {
  it('reads quotes, line ends of any kind, empty lines and a byte order mark', async () => {
    const table = await read('\ufeffb, a \r\n"x, ""y""",1\r\n\r\n"two\r\nlines",-2.5e3\n')
    expect(Array.from(table.columns['a'] ?? [])).toEqual([1, -2500])
    expect(table.schema.columns['b']).toMatchObject({ values: ['two\r\nlines', 'x, "y"'] })
    expect(Array.from(table.columns['b'] ?? [])).toEqual([1, 0])
    expect(table.report).toMatchObject({ rows: 2, dropped: 0, bad: [], issues: [] })
    expect((await read('a,b\r1,x\r2,y\r')).rows).toBe(2)
  })

  it('gives back any numbers and texts that were written by the rules of RFC 4180', async () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
      .filter((value) => value.trim() === value && value !== '')
    const row = fc.record({ a: fc.double({ noNaN: true, noDefaultInfinity: true, max: 3e38, min: -3e38 }), b: text })
    const form = fc.record({
      ends: fc.constantFrom('\n', '\r\n'),
      delimiter: fc.constantFrom(',', ';', '\t'),
      always: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 1, maxLength: 20 }),
        form,
        async (rows, { ends, delimiter, always }) => {
          const quoted = (value: string) =>
            always || /[",;\t\r\n\ufeff]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
          const lines = rows.map(({ a, b }) => `${quoted(String(a))}${delimiter}${quoted(b)}`)
          const table = await read([`a${delimiter}b`, ...lines].join(ends), { delimiter })
          const { values } = table.schema.columns['b'] as { values: readonly string[] }
          expect(Array.from(table.columns['a'] ?? [], (value) => value + 0)).toEqual(rows.map(({ a }) => a + 0))
          expect(Array.from(table.columns['b'] ?? [], (index) => values[index])).toEqual(rows.map(({ b }) => b))
        },
      ),
      { numRuns: 100 },
    )
  })

  it('names bad values by line, column and kind, never by the value, and counts all of them', async () => {
    const secrets = Array.from({ length: 50 }, (_, at) => `geheim${at},x`).join('\n')
    const { code, issues, error } = await refusal(
      read(`a,b\n1,x\n${secrets}\n999,x\n`, {}, { columns: { ...two, a: { type: 'number', max: 85, unit: '°C' } } }),
    )
    expect(code).toBe('CSV_INVALID')
    expect(issues).toHaveLength(20)
    expect(issues[0]).toBe('line 3, a: text, must be a number of at most 85 °C')
    expect(error).toMatchObject({
      data: {
        bad: [
          { column: 'a', kind: 'text', count: 50 },
          { column: 'a', kind: 'a number out of range', count: 1 },
        ],
      },
    })
    expect(error.message).toContain('and 31 more')
    expect(JSON.stringify(error) + error.message).not.toMatch(/geheim|999/)
  })

  it('drops and counts bad rows where the schema says so, with the lines of the file', async () => {
    const content = 'a,b\n1,"x\ny"\n2\n\noops,z\n3,y,z\n4,\n5,y\n'
    const { report, columns } = await read(content, {}, { onBadRow: 'drop' })
    expect(Array.from(columns['a'] ?? [])).toEqual([1, 5])
    expect(report).toMatchObject({
      rows: 2,
      dropped: 4,
      issues: [
        'line 4, row: too few fields, must be 2 fields',
        'line 6, a: text, must be a number',
        'line 7, row: too many fields, must be 2 fields',
        'line 8, b: empty, must be a category of at most 256 characters',
      ],
      bad: [
        { column: 'row', kind: 'too few fields', count: 1 },
        { column: 'a', kind: 'text', count: 1 },
        { column: 'row', kind: 'too many fields', count: 1 },
        { column: 'b', kind: 'empty', count: 1 },
      ],
    })
    expect((await refusal(read('a,b\nx,1\n', {}, { onBadRow: 'drop' }))).issues[0]).toBe('no rows')
  })

  it('counts lines right after quoted line ends of two characters', async () => {
    const { report } = await read(
      'a,b\r\n1,"x\r\ny\r\nz"\r\nbad,x\r\nbad,"p\r\nq"\r\n2,x\r\n',
      {},
      { onBadRow: 'drop' },
    )
    expect(report.issues).toEqual(['line 5, a: text, must be a number', 'line 6, a: text, must be a number'])
  })

  it('takes missing values by the texts of the schema: kept as NaN where they are imputed, else bad', async () => {
    const columns: ColumnsConfig['columns'] = {
      a: { type: 'number', missing: ['', 'NA'], impute: 'mean' },
      b: { type: 'category', values: ['x'], missing: ['?'], impute: 'mostFrequent' },
    }
    const table = await read('a,b\nNA,x\n , ? \n1,x\n', {}, { columns })
    expect([table.columns['a'], table.columns['b']]).toEqual([Float64Array.of(NaN, NaN, 1), Float64Array.of(0, NaN, 0)])
    const strict = { ...columns, a: { type: 'number', missing: ['NA'] } } as const
    expect((await refusal(read('a,b\nNA,x\n', {}, { columns: strict }))).issues).toEqual([
      'line 2, a: missing, must be a number',
    ])
  })

  it('takes an unknown category as other, or names it', async () => {
    const columns = { ...two, b: { type: 'category', values: ['x', 'y', 'z'], unknown: 'other' } } as const
    expect((await read('a,b\n1,z\n1,q\n', {}, { columns })).columns['b']).toEqual(Float64Array.of(2, -1))
    const strict = { ...columns, b: { ...columns.b, unknown: 'error' } } as const
    expect((await refusal(read('a,b\n1,q\n', {}, { columns: strict }))).issues).toEqual([
      'line 2, b: text, must be x, y or z',
    ])
  })

  it('reads times as a distance from their origin, in UTC where no zone is given', async () => {
    const columns = {
      t: { type: 'time', origin: '2024-01-01T00:00:00Z', unit: 'hours', max: '2025-01-01T00:00:00Z' },
    } as const
    const table = await read('t\n2024-01-02\n2024-01-01 01:30\n2024-01-01T01:00:00+01:00\n', {}, { columns })
    expect(Array.from(table.columns['t'] ?? [])).toEqual([24, 1.5, 0])
    const { issues } = await refusal(read('t\n2024-02-30\n5\n2026-01-01\n', {}, { columns }))
    const must = 'must be a time in ISO 8601 of at most 2025-01-01T00:00:00Z'
    expect(issues).toEqual([
      `line 2, t: text, ${must}`,
      `line 3, t: a number, ${must}`,
      `line 4, t: a time out of range, ${must}`,
    ])
  })

  it.each([
    ['1.234,5', { decimal: ',', thousands: '.' } as const, 1234.5],
    ['1234,5', { decimal: ',' } as const, 1234.5],
    ['1 234 567.5', { thousands: ' ' } as const, 1234567.5],
    ["-1'000", { thousands: "'" } as const, -1000],
    ['1.5', { decimal: ',', thousands: '.' } as const, undefined],
    ['1.5', { decimal: ',' } as const, undefined],
    ['12,34', { thousands: ',' } as const, undefined],
    ['0x10', {}, undefined],
    ['Infinity', {}, undefined],
    ['1e39', {}, undefined],
  ])('reads the number %s written as %o', async (text, numbers, expected) => {
    const reading = read(`a;b\n"${text}";x\n`, { delimiter: ';', numbers })
    if (expected === undefined) expect((await refusal(reading)).code).toBe('CSV_INVALID')
    else expect((await reading).columns['a']).toEqual(Float64Array.of(expected))
  })

  it('takes names for a file without a header, and names what a header lacks or has twice', async () => {
    expect((await read('x,1\n', { header: ['b', 'a'] })).columns['a']).toEqual(Float64Array.of(1))
    expect((await refusal(read('a,secret,secret\n1,2,3\n'))).issues).toEqual([
      'column b is missing',
      'the header has one name twice, in fields 2 and 3',
    ])
    expect((await refusal(read('a,b,a\n1,2,3\n'))).issues).toEqual([
      'the header has one name twice, in fields 1 and 3: a',
    ])
    expect((await refusal(read(''))).issues).toEqual(['the file is empty'])
    expect((await refusal(read('a,b\n'))).issues).toEqual(['no rows'])
  })

  it.each([
    ['a quote that is not closed', 'a,b\n1,"x\n2,y\n', /^line \d: a quote is not closed/],
    ['text after a quote', 'a,b\n1,"x"y\n', /^line 2: a quote within a quoted field/],
    ['a quote within a field', 'a,b\n1,x"y\n', /^line 2: a quote within a field/],
    ['latin-1', Buffer.from('a,b\n1,x\n2,caf\xe9\n', 'latin1'), /^line 3: bytes that are not utf-8/],
    ['a cut character', Buffer.from('a,b\n1,é').subarray(0, -1), /^line 2: bytes that are not utf-8: the file ends/],
    ['utf-16', Buffer.from('\ufeffa,b\n1,x\n', 'utf16le'), /^encoding utf-16 is not read/],
  ])('refuses %s, by line and without a value', async (_, content, issue) => {
    const { code, issues, error } = await refusal(read(content))
    expect([code, issues.length]).toEqual(['CSV_INVALID', 1])
    expect(issues[0]).toMatch(issue)
    expect(error.cause).toBeUndefined()
  })

  it('refuses another encoding by name, and a file that is not there', async () => {
    expect((await refusal(read('a,b\n1,x\n', { encoding: 'latin1' }))).issues[0]).toMatch(
      /^encoding latin1 is not read/,
    )
    for (const path of [dir, `${dir}/absent.csv`])
      expect(await refusal(readCsv(path, { schema: { columns: two } }))).toMatchObject({
        code: 'CSV_INVALID',
        issues: ['it cannot be read: it must be a file that this process may read'],
      })
    expect((await refusal(read('a,b\n', {}, { columns: {} }))).code).toBe('INPUT_REJECTED')
  })

  it.each([
    ['maxFileBytes', 'a,b\n1,x\n2,y\n', 10],
    ['maxRows', 'a,b\n1,x\n2,y\n', 1],
    ['maxRows', 'a,b\n1\n2\n', 1],
    ['maxColumns', 'a,b,c\n1,x,2\n', 2],
    ['maxRecordBytes', `a,b\n1,${'x'.repeat(200)}\n`, 100],
    ['maxRecordBytes', `a,b\n1,"${'x\n'.repeat(200)}`, 100],
    ['maxDecodedBytes', `a,b\n${'1,x\n'.repeat(300)}`, 1000],
  ])('holds %s while it reads', async (limit, content, allowed) => {
    const { code, error } = await refusal(read(content, { limits: { [limit]: allowed } }))
    expect(code).toBe('DATA_LIMIT_EXCEEDED')
    expect(error).toMatchObject({ data: { limit, allowed } })
  })

  it('reads or refuses with a code whatever bytes come', async () => {
    const whole = Buffer.from('a,b\r\n1,"x\r\n""y"""\r\n2.5,é\r\n,z\r\n')
    const change = fc.tuple(
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 4 }),
        fc.double({ min: 0.1, max: 1, noNaN: true }),
        async (changes, keep) => {
          try {
            const table = await read(damaged(whole, changes, keep), {}, { onBadRow: 'drop' })
            expect(table.rows).toBeGreaterThan(0)
          } catch (error) {
            expect(error).toMatchObject({ code: 'CSV_INVALID' })
          }
        },
      ),
      { numRuns: 200 },
    )
  })
})
