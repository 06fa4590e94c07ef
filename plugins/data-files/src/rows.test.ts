import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parquetWriteFile } from 'hyparquet-writer'
import { describe, expect, it } from 'vitest'
import type { Cell } from './cells.js'
import { testFolder } from './files.fixture.js'
import { parquetFile } from './parquet-writer.js'
import { openRows, type RawRow, type RowTable } from './rows.js'

const folder = testFolder()

async function all(table: RowTable, skip = 0): Promise<RawRow[]> {
  const rows: RawRow[] = []
  for await (const block of table.read(skip)) rows.push(...block.rows)
  return rows
}

describe('a CSV that is read row by row', () => {
  it('has its fields as they are, with the lines that they begin in, and may be read from any row on', async () => {
    const path = folder.write('a.csv', 'id;text\r\n1;"a;b"\r\n2;"two\r\nlines"\r\n3;\r\n4;last\r\n5\r\n')
    const table = await openRows(path, { delimiter: ';' })
    expect(table).toMatchObject({ names: ['id', 'text'], kinds: ['text', 'text'], unit: 'line' })
    const rows = await all(table)
    expect(rows).toEqual([
      { place: 2, cells: ['1', 'a;b'] },
      { place: 3, cells: ['2', 'two\r\nlines'] },
      { place: 5, cells: ['3', ''] },
      { place: 6, cells: ['4', 'last'] },
      { place: 7, cells: ['5'] },
    ])
    expect(await all(table, 2)).toEqual(rows.slice(2))
    expect(await all(table, 9)).toEqual([])
  })

  it('is read to its last byte, some rows at a time', async () => {
    const path = folder.write('b.csv', `x\n${Array.from({ length: 1_000 }, (_, at) => at).join('\n')}\n`)
    const table = await openRows(path)
    let [read, most, rows] = [0, 0, 0]
    for await (const block of table.read()) {
      read = block.bytesRead
      most = Math.max(most, block.rows.length)
      rows += block.rows.length
    }
    expect({ read, rows }).toEqual({ read: table.bytes, rows: 1_000 })
    expect(most).toBeLessThan(1_000)
  })

  it.each([
    ['without anything in it', ''],
    ['with one name twice', 'a,b,a\n1,2,3\n'],
  ])('is refused %s', async (_, text) => {
    await expect(openRows(folder.write('c.csv', text))).rejects.toMatchObject({ code: 'CSV_INVALID' })
  })
})

describe('a Parquet file that is read row by row', () => {
  it('has the values of its types, from any row on, group by group', async () => {
    const path = join(folder.dir, 'a.parquet')
    const ids = Array.from({ length: 700 }, (_, at) => BigInt(at))
    const columnData = [
      { name: 'id', data: ids, type: 'INT64' as const },
      { name: 'at', data: ids.map((id) => new Date(Number(id) * 1_000)), type: 'TIMESTAMP' as const },
      { name: 'x', data: ids.map((id) => Number(id) / 2), type: 'DOUBLE' as const },
      { name: 'note', data: ids.map((id) => (id % 2n === 0n ? null : `n${id}`)), type: 'STRING' as const },
    ]
    parquetWriteFile({ filename: path, columnData, rowGroupSize: 300 })
    const table = await openRows(path)
    expect(table).toMatchObject({ unit: 'row', rowCount: 700, kinds: ['integer', 'time', 'double', 'text'] })
    const rows = await all(table)
    expect(rows).toHaveLength(700)
    expect(rows[301]).toEqual({ place: 302, cells: [301n, new Date(301_000), 150.5, 'n301'] })
    for (const skip of [1, 299, 300, 650]) expect(await all(table, skip)).toEqual(rows.slice(skip))
  })

  it('is refused where it is broken', async () => {
    const path = join(folder.dir, 'b.parquet')
    parquetWriteFile({ filename: path, columnData: [{ name: 'x', data: [1, 2] }] })
    const bytes = await readFile(path)
    const broken = folder.write('broken.parquet', bytes.fill(7, bytes.length - 12))
    await expect(openRows(broken)).rejects.toMatchObject({ code: 'PARQUET_INVALID' })
  })
})

describe('a Parquet file that is written group by group', () => {
  it('has every kind of column, with nulls, and the same bytes for the same values', async () => {
    const columns = (['text', 'double', 'float', 'integer', 'boolean', 'time'] as const).map((kind) => ({
      name: kind,
      kind,
    }))
    const groups: Cell[][][] = [
      [
        ['a', null],
        [0.1, null],
        [0.5, null],
        [2n ** 60n, null],
        [true, null],
        [new Date(5), null],
      ],
      [['ü'], [Number.NaN], [-0.25], [7], [false], [new Date(0)]],
    ]
    const written = async () => {
      const pieces: Uint8Array[] = []
      const file = parquetFile(columns, (bytes) => pieces.push(bytes))
      for (const group of groups) await file.add(group)
      await file.finish()
      return Buffer.concat(pieces)
    }
    const bytes = await written()
    expect((await written()).equals(bytes)).toBe(true)
    const table = await openRows(folder.write('w.parquet', bytes))
    expect(table.kinds).toEqual(columns.map(({ kind }) => kind))
    expect((await all(table)).map(({ cells }) => cells)).toEqual([
      ['a', 0.1, 0.5, 2n ** 60n, true, new Date(5)],
      columns.map(() => expect.toBeOneOf([null, undefined]) as unknown),
      ['ü', Number.NaN, -0.25, 7n, false, new Date(0)],
    ])
  })
})
