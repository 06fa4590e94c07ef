import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errors as core } from '@tideway/core'
import { z } from 'zod'
import { isRunning, startOf } from './identity.js'

/** The holder touches its lock so often, and a lock of another host, whose processes cannot be seen, is stale after. */
const HEARTBEAT_MS = 5_000
const OTHER_HOST_STALE_MS = 30_000
/** Longer than anyone holds the right to take over; who crashed in between must not hold it for ever. */
const TAKEOVER_STALE_MS = 10_000
/** Named when the holder has not written yet who it is. */
const NOBODY = 0

const ownerSchema = z.object({
  pid: z.int().positive(),
  /** Undefined where the system does not say; see `startOf`. */
  started: z.string().optional(),
  host: z.string(),
  token: z.string(),
})
type Owner = z.infer<typeof ownerSchema>

export interface Lock {
  /** Removes the lock, if it is still ours. */
  release(): Promise<void>
}

/**
 * Takes `<dir>/store.lock`: two handles on one PGlite folder lose acknowledged rows. A lock whose process is gone is
 * taken over. Throws `STORE_LOCKED`, naming the process that holds it (which may be this one).
 */
export async function takeLock(dir: string): Promise<Lock> {
  const path = join(dir, 'store.lock')
  const own: Owner = { pid: process.pid, started: startOf(process.pid), host: hostname(), token: randomUUID() }
  if (!(await create(path, own))) await takeOver(dir, path, own)
  const heartbeat = setInterval(() => {
    const now = new Date()
    // A missing file shows at release; a heartbeat has nobody to tell.
    utimes(path, now, now).catch(() => undefined)
  }, HEARTBEAT_MS)
  heartbeat.unref()
  return {
    async release() {
      clearInterval(heartbeat)
      if ((await ownerOf(path))?.token === own.token) await rm(path, { force: true })
    },
  }
}

/** Under a second file, so that of two that saw the same stale lock only one replaces it. */
async function takeOver(dir: string, path: string, own: Owner): Promise<void> {
  const right = `${path}.takeover`
  if (await olderThan(right, TAKEOVER_STALE_MS)) await rm(right, { force: true })
  if (!(await create(right, own))) throw core.STORE_LOCKED({ dir, pid: (await ownerOf(right))?.pid ?? NOBODY })
  try {
    const owner = await ownerOf(path)
    if (owner === undefined || (await isHeld(path, owner))) {
      // Released in the meantime: whoever creates it now has it.
      if (owner === undefined && (await create(path, own))) return
      throw core.STORE_LOCKED({ dir, pid: (owner ?? (await ownerOf(path)))?.pid ?? NOBODY })
    }
    const next = `${path}.${own.token}`
    await writeFile(next, JSON.stringify(own))
    await rename(next, path)
  } finally {
    await rm(right, { force: true })
  }
}

async function isHeld(path: string, owner: Owner): Promise<boolean> {
  if (owner.host !== hostname()) return !(await olderThan(path, OTHER_HOST_STALE_MS))
  if (!isRunning(owner.pid)) return false
  const started = startOf(owner.pid)
  return started === undefined || owner.started === undefined || started === owner.started
}

/** False when the file is there already. */
async function create(path: string, owner: Owner): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(owner), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Undefined when the file is gone. */
async function ownerOf(path: string): Promise<Owner | undefined> {
  for (let attempt = 0; attempt < 10; attempt++) {
    // Between creating the file and writing into it, it is empty for a moment.
    if (attempt > 0) await delay(20)
    try {
      return ownerSchema.parse(JSON.parse(await readFile(path, 'utf8')))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    }
  }
  // Who created it has ended before it wrote. A host that nobody has, so its age decides.
  return { pid: NOBODY, host: '', token: '' }
}

async function olderThan(path: string, ms: number): Promise<boolean> {
  try {
    return Date.now() - (await stat(path)).mtimeMs > ms
  } catch {
    return false
  }
}
