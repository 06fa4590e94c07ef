import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from '@tideway/test/support/folder'
import { parquetWriteFile } from 'hyparquet-writer'
import { afterEach, describe, expect, it } from 'vitest'
import { readColumnNames } from './names.js'

const cleans: (() => Promise<void>)[] = []
const folder = () => temporaryFolder((clean) => void cleans.push(clean))
afterEach(async () => {
  for (const clean of cleans.splice(0)) await clean()
})

describe('readColumnNames', () => {
  it.each([
    ['plain', 'a,b,c\n1,2,3\n', ['a', 'b', 'c']],
    ['with a byte order mark, spaces and quotes', '\ufeffa, b ,"c,d"\r\n1,2,3\r\n', ['a', 'b', 'c,d']],
    ['of names that look like numbers, in their order', '7,2\n1,1\n', ['7', '2']],
  ])('gives the first row of a CSV: %s', async (_name, text, names) => {
    const path = join(await folder(), 'table.csv')
    await writeFile(path, text)
    expect(await readColumnNames(path)).toEqual(names)
  })

  it('gives the columns of a Parquet file', async () => {
    const path = join(await folder(), 'table.parquet')
    const columnData = [
      { name: 'b', data: [1, 2], type: 'DOUBLE' as const },
      { name: 'a', data: [3, 4], type: 'DOUBLE' as const },
    ]
    parquetWriteFile({ filename: path, columnData })
    expect(await readColumnNames(path)).toEqual(['b', 'a'])
  })

  it('refuses a file that is none of both, or too wide', async () => {
    const dir = await folder()
    await writeFile(join(dir, 'empty.csv'), '')
    await writeFile(join(dir, 'wide.csv'), 'a,b,c\n')
    await writeFile(join(dir, 'x.parquet'), 'not parquet at all')
    await expect(readColumnNames(join(dir, 'empty.csv'))).rejects.toMatchObject({ code: 'CSV_INVALID' })
    await expect(readColumnNames(join(dir, 'none.csv'))).rejects.toMatchObject({ code: 'CSV_INVALID' })
    await expect(readColumnNames(join(dir, 'x.parquet'))).rejects.toMatchObject({ code: 'PARQUET_INVALID' })
    await expect(readColumnNames(join(dir, 'wide.csv'), { limits: { maxColumns: 2 } })).rejects.toMatchObject({
      code: 'DATA_LIMIT_EXCEEDED',
    })
  })
})
