import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errors } from '../errors.js'

/** Names in the folder of unfinished files, which is on the same file system so that a rename is atomic. */
const UNFINISHED = 'tmp'
/** Older unfinished files are of writers that have ended; several processes may share the folder. */
const UNFINISHED_STALE_MS = 3_600_000

const RENAME_ATTEMPTS = 8

/** Makes the folder, and removes what writers that were killed left in it. */
export async function prepareFolder(dir: string): Promise<void> {
  const unfinished = join(dir, UNFINISHED)
  await mkdir(unfinished, { recursive: true })
  for (const name of await readdir(unfinished)) {
    const path = join(unfinished, name)
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    )
    if (age > UNFINISHED_STALE_MS) await rm(path, { force: true })
  }
}

/** Replaces `path` whole and durably: temporary name, fsync, rename, fsync of the folder. Throws `STORE_WRITE_FAILED`. */
export async function writeDurably(dir: string, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(dir, UNFINISHED, randomUUID())
  try {
    // `UNFINISHED` too: someone may have removed it since.
    await mkdir(dirname(temporary), { recursive: true })
    const made = await mkdir(dirname(path), { recursive: true })
    const file = await open(temporary, 'wx')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await renameOver(temporary, path)
    await syncFolder(dirname(path))
    if (made !== undefined) await syncFolder(dirname(made))
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined)
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown'
    throw errors.STORE_WRITE_FAILED({ path, reason }, cause)
  }
}

/** Windows refuses while a virus scanner or an indexer holds either file, for some milliseconds. */
async function renameOver(from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await rename(from, to)
    } catch (error) {
      const passing = ['EPERM', 'EBUSY', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')
      if (!passing || process.platform !== 'win32' || attempt === RENAME_ATTEMPTS) throw error
      await delay(2 ** attempt)
    }
  }
}

async function syncFolder(path: string): Promise<void> {
  // Windows has no fsync of folders, and its renames need none.
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
