import { createReadStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { WrittenColumn } from '@tideway/data-files'
import { cloudErrors } from '../errors.js'
import type { Format, Sink } from './formats.js'
import type { Journal } from './journal.js'

/**
 * Puts the parts together under the output's name, in one step, and removes them. Rows that were left out go to a file beside it,
 * whose name is given back where there are some. Throws `FILE_NOT_WRITTEN`.
 */
export async function joinParts(
  journal: Journal,
  format: Format,
  columns: readonly WrittenColumn[],
  output: string,
): Promise<string | undefined> {
  const skipped = await journal.skippedParts()
  const skippedFile = `${output}.skipped.jsonl`
  if (skipped.length === 0) await rm(skippedFile, { force: true })
  else
    await written(skippedFile, async (sink) => {
      for (const part of skipped) await sink.append(part)
    })
  // A part of rows that were all left out has no columns to read.
  await written(output, (sink) => format.join(columns, journal.parts(), sink))
  await journal.end()
  return skipped.length === 0 ? undefined : skippedFile
}

async function written(path: string, fill: (sink: Sink) => Promise<void>): Promise<void> {
  // One name for all tries: what a kill leaves is written over.
  const draft = join(dirname(path), `.${basename(path)}.draft`)
  try {
    const file = await open(draft, 'w')
    try {
      const write = (bytes: Uint8Array) => file.writeFile(bytes)
      await fill({
        write,
        async append(part) {
          for await (const bytes of createReadStream(part) as AsyncIterable<Buffer>) await write(bytes)
        },
      })
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => undefined)
    const { code } = cause as NodeJS.ErrnoException
    if (code === undefined || !('syscall' in (cause as object))) throw cause
    throw cloudErrors.FILE_NOT_WRITTEN({ file: path, reason: code }, cause)
  }
}
