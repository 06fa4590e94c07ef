import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { errors } from '../errors.js'

const FULL = new Set(['ENOSPC', 'EDQUOT'])
const READ_ONLY = new Set(['EROFS', 'EACCES', 'EPERM'])
/** On Windows a virus scanner or an indexer may hold a file for a moment. */
const HELD = new Set(['EPERM', 'EBUSY', 'EACCES'])
const HELD_RETRIES = 10

/**
 * Replaces a file so that after a crash it is the old or the new one, whole: a temporary name, fsync, rename, fsync of
 * the folder. Throws `EDGE_DISK_FULL`, `EDGE_DISK_READ_ONLY`.
 */
export async function writeDurably(temporary: string, path: string, bytes: Uint8Array | string): Promise<void> {
  const draft = join(temporary, randomUUID())
  try {
    await ensureFolder(temporary)
    await ensureFolder(dirname(path))
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await whileHeld(() => rename(draft, path))
    await syncFolder(dirname(path))
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => undefined)
    throw diskError(cause, path)
  }
}

/** The file's bytes; undefined when it is not there. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (codeOfSystem(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Removes a file, which may be gone already. Throws `EDGE_DISK_READ_ONLY`. */
export async function removeFile(path: string): Promise<void> {
  try {
    await whileHeld(() => rm(path, { force: true }))
  } catch (cause) {
    throw diskError(cause, path)
  }
}

/** Makes a folder and those above it, so that it survives a power cut too. */
export async function ensureFolder(path: string): Promise<void> {
  if (await makeFolder(path)) return
  await ensureFolder(dirname(path))
  if (!(await makeFolder(path))) throw errors.EDGE_DISK_READ_ONLY({ path })
}

/** False when the folder above is missing. Not mkdir's own recursion: it calls a read-only disk "no such file". */
async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 })
    await syncFolder(dirname(path))
    return true
  } catch (cause) {
    const code = codeOfSystem(cause)
    if (code === 'EEXIST') return true
    if (code === 'ENOENT' && dirname(path) !== path) return false
    throw diskError(cause, path)
  }
}

/** The coded error of a disk that is full or cannot be written; anything else as it is. */
export function diskError(cause: unknown, path: string): unknown {
  const code = codeOfSystem(cause)
  if (FULL.has(code)) return errors.EDGE_DISK_FULL({ path }, cause)
  if (READ_ONLY.has(code)) return errors.EDGE_DISK_READ_ONLY({ path }, cause)
  return cause
}

export function codeOfSystem(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

async function syncFolder(path: string): Promise<void> {
  // Windows cannot open folders; its rename is in the journal.
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function whileHeld(action: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action()
    } catch (error) {
      const held = process.platform === 'win32' && HELD.has(codeOfSystem(error))
      if (!held || attempt > HELD_RETRIES) throw error
      await wait(10 * 2 ** attempt)
    }
  }
}
