import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from '@tideway/test/support/folder'
import { afterEach, describe, expect, it } from 'vitest'
import { loadRows } from './data.js'

const cleans: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const clean of cleans.splice(0)) await clean()
})

async function csv(text: string): Promise<string> {
  const path = join(await temporaryFolder((clean) => void cleans.push(clean)), 'table.csv')
  await writeFile(path, text)
  return path
}

describe('a table to fine-tune with', () => {
  it('gives every column but the target as features, and classes in the order of their names', async () => {
    const path = await csv('a,state,b\n1,warm,2\n3,cold,4\n')
    expect(await loadRows({ path, row: [2], target: ['state'], classes: true })).toMatchObject({
      inputs: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
      targets: { data: Int32Array.of(1, 0) },
      classes: ['cold', 'warm'],
      features: ['a', 'b'],
    })
  })

  it('takes whole numbers as the classes that they are', async () => {
    const path = await csv('a,class\n1,10\n2,2\n3,0\n')
    const dataset = await loadRows({ path, row: [1], target: ['class'], classes: true })
    expect(dataset.targets.data).toEqual(Int32Array.of(10, 2, 0))
    expect(dataset.classes).toBeUndefined()
  })

  it('gives values to predict, of several columns too, and the scale that was asked for', async () => {
    const path = await csv('a,p,q\n1,0.5,2\n3,1.5,4\n')
    const order = { path, row: [null], target: ['p', 'q'], classes: false, scale: 0.1 }
    expect(await loadRows(order)).toMatchObject({
      inputs: { shape: [2, 1] },
      targets: { shape: [2, 2], data: Float32Array.of(0.5, 2, 1.5, 4) },
      scale: 0.1,
    })
  })

  it('is refused where the model takes other rows, or a column is no number', async () => {
    const path = await csv('a,b,y\n1,x,0\n3,2,1\n')
    await expect(loadRows({ path, row: [2], target: ['y'], classes: true })).rejects.toMatchObject({
      code: 'CSV_INVALID',
    })
    const other = await csv('a,b,y\n1,1,0\n3,2,1\n')
    const bad = loadRows({ path: other, row: [3], target: ['y'], classes: true })
    await expect(bad).rejects.toMatchObject({ code: 'DATA_INVALID' })
    await expect(bad).rejects.toThrow(/rows of \[2\], but the model takes \[3\]/)
  })
})
