import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadElectricity } from './data.js'

const HEADER = 'period,nswprice,nswdemand,vicprice,vicdemand,transfer,class'
let dir: string
const csv = async (...lines: string[]) => {
  const path = join(dir, `${lines.length}-${Math.abs(lines.join().length)}.csv`)
  await writeFile(path, `${lines.join('\n')}\n`)
  return path
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-electricity-'))
})
afterAll(() => rm(dir, { recursive: true }))

it('reads rows in file order', async () => {
  const data = await loadElectricity({ path: await csv(HEADER, '0,0.1,0.2,0.3,0.4,0.5,1', '0.02,1,2,3,4,5,0') })
  expect(data.inputs.shape).toEqual([2, 6])
  expect(Array.from(data.inputs.data as Float32Array).slice(6)).toEqual([Math.fround(0.02), 1, 2, 3, 4, 5])
  expect(Array.from(data.targets.data as Int32Array)).toEqual([1, 0])
})

it('names every bad field by line, column and kind', async () => {
  const path = await csv(HEADER, '0,0.1,0.2,0.3,0.4,0.5,1', '0,secret,0.2,,0.4,0.5,7')
  await expect(loadElectricity({ path })).rejects.toMatchObject({
    code: 'CSV_INVALID',
    data: {
      issues: [
        'line 3, nswprice: text, must be a number',
        'line 3, vicprice: empty, must be a number',
        'line 3, class: a number, must be 0 or 1',
      ],
    },
  })
})

it('names missing columns, an empty file and a missing file', async () => {
  await expect(loadElectricity({ path: await csv('period,class', '0,1') })).rejects.toMatchObject({
    code: 'CSV_INVALID',
    data: { issues: expect.arrayContaining(['column nswprice is missing']) as unknown },
  })
  await expect(loadElectricity({ path: await csv(HEADER) })).rejects.toMatchObject({ code: 'CSV_INVALID' })
  await expect(loadElectricity({ path: join(dir, 'absent.csv') })).rejects.toMatchObject({ code: 'CSV_INVALID' })
  await expect(loadElectricity({})).rejects.toMatchObject({ code: 'CSV_INVALID' })
})
