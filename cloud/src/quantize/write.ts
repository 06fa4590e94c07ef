import { randomUUID } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { cloudErrors } from '../errors.js'

/** Writes a file whole or not at all: under another name beside it, and renamed. Throws `FILE_NOT_WRITTEN`. */
export async function writeWhole(path: string, bytes: Uint8Array | string): Promise<void> {
  const draft = join(dirname(path), `.${basename(path)}.${randomUUID()}`)
  try {
    const file = await open(draft, 'wx')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => undefined)
    const reason = (cause as NodeJS.ErrnoException).code ?? 'it cannot be written'
    throw cloudErrors.FILE_NOT_WRITTEN({ file: path, reason }, cause)
  }
}
