import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from '@tideway/test/support/folder'
import { afterEach, expect, it } from 'vitest'
import { writeWhole } from './write.js'

const cleans: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const clean of cleans.splice(0)) await clean()
})

it('replaces a file and leaves nothing beside it', async () => {
  const folder = await temporaryFolder((clean) => void cleans.push(clean))
  const path = join(folder, 'model.onnx')
  await writeFile(path, 'old')
  await writeWhole(path, Buffer.from('new'))
  expect(await readFile(path, 'utf8')).toBe('new')
  expect(await readdir(folder)).toEqual(['model.onnx'])
})

it('says which file cannot be written, and leaves nothing', async () => {
  const folder = await temporaryFolder((clean) => void cleans.push(clean))
  await expect(writeWhole(join(folder, 'none', 'model.onnx'), 'x')).rejects.toMatchObject({
    code: 'FILE_NOT_WRITTEN',
    data: { reason: 'ENOENT' },
  })
  expect(await readdir(folder)).toEqual([])
})
