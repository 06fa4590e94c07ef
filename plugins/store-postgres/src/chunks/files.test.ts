import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../contract.fixture.js'
import { prepareFolder, writeDurably } from './files.js'

describe('chunk files', () => {
  let dir = ''
  let remove = async () => {}
  beforeEach(async () => {
    ;({ dir, remove } = await temporaryFolder())
    await prepareFolder(dir)
  })
  afterEach(() => remove())

  it('are written whole, replaced whole, and leave no unfinished file', async () => {
    const path = join(dir, 'ab', 'abc')
    await writeDurably(dir, path, Buffer.from('first'))
    await writeDurably(dir, path, Buffer.from('second'))
    expect(await readFile(path, 'utf8')).toBe('second')
    expect(await readdir(join(dir, 'tmp'))).toEqual([])
  })

  it('that cannot be put in place fail with STORE_WRITE_FAILED, the reason and no unfinished file', async () => {
    const path = join(dir, 'ab', 'abc')
    await mkdir(path, { recursive: true })
    await writeFile(join(path, 'in the way'), '')
    await expect(writeDurably(dir, path, Buffer.from('x'))).rejects.toMatchObject({
      code: 'STORE_WRITE_FAILED',
      data: { path, reason: expect.stringMatching(/^(EISDIR|ENOTEMPTY|EEXIST|EPERM)$/) },
    })
    expect(await readdir(join(dir, 'tmp'))).toEqual([])
  })

  it('left unfinished by a killed writer are removed after an hour, not those of one still writing', async () => {
    const [old, fresh] = [join(dir, 'tmp', 'old'), join(dir, 'tmp', 'fresh')]
    for (const path of [old, fresh]) await writeFile(path, 'half')
    const longAgo = new Date(Date.now() - 2 * 3_600_000)
    await utimes(old, longAgo, longAgo)
    await prepareFolder(dir)
    expect(await readdir(join(dir, 'tmp'))).toEqual(['fresh'])
  })
})
