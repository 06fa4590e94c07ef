import { randomUUID } from 'node:crypto'
import { link, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { errors } from '../errors.js'
import { namesIn } from './chunks.js'
import { codeOfSystem, diskError, ensureFolder, readIfThere } from './files.js'
import type { Layout } from './layout.js'

/** Gives the folder back. */
export type Unlock = () => Promise<void>

/**
 * Takes the folder for this process, or throws `EDGE_DIR_LOCKED` naming the process that has it. A lock whose process
 * is gone is taken over: after a reboot or in a container the same pid may be another process, so the time at which
 * the process started counts too, where the system tells it.
 *
 * Locks are numbered: the highest counts, a new one is the next number, and a link to a number that exists fails. So
 * of several that take over at once one wins, and nobody ever removes a lock that may be alive.
 */
export async function lockFolder(layout: Layout): Promise<Unlock> {
  const content = JSON.stringify({ pid: process.pid, started: await startOf(process.pid) })
  const draft = join(layout.lock, `draft-${randomUUID()}`)
  const pathOf = (number: number) => join(layout.lock, String(number))
  try {
    for (;;) {
      const last = await highest(layout)
      const pid = last === 0 ? undefined : await holderOf(pathOf(last))
      if (pid !== undefined) throw errors.EDGE_DIR_LOCKED({ dir: layout.dir, pid })
      await ensureFolder(layout.lock)
      await writeFile(draft, content, { mode: 0o600 })
      const own = last + 1
      if (!(await linked(draft, pathOf(own)))) continue
      // The number may be free again because a later owner cleared it away: that one is the highest, then.
      if ((await highest(layout)) === own) {
        for (let number = own - 1; number > 0 && number >= own - 10; number--) await rm(pathOf(number), { force: true })
        // Emptied, not removed: numbers must go on rising. Needs no space on a full disk.
        return () => truncate(pathOf(own)).catch(() => undefined)
      }
      await rm(pathOf(own), { force: true })
    }
  } catch (cause) {
    throw diskError(cause, layout.lock)
  } finally {
    await rm(draft, { force: true }).catch(() => undefined)
  }
}

/** The highest number in the lock's folder; 0 when there is none. */
async function highest(layout: Layout): Promise<number> {
  const numbers = (await namesIn(layout.lock)).filter((name) => /^\d{1,15}$/.test(name)).map(Number)
  return Math.max(0, ...numbers)
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (codeOfSystem(error) === 'EEXIST') return false
    throw error
  }
}

/** The pid of the living process that holds the lock; undefined when it is stale. */
async function holderOf(path: string): Promise<number | undefined> {
  let held: unknown
  try {
    held = JSON.parse((await readIfThere(path))?.toString('utf8') ?? '')
  } catch {
    return undefined
  }
  if (typeof held !== 'object' || held === null) return undefined
  const { pid, started } = held as Record<string, unknown>
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined
  const actual = await startOf(pid)
  if (actual !== undefined && typeof started === 'string') return actual === started ? pid : undefined
  const bootedAt = Date.now() - uptime() * 1000
  const { mtimeMs } = await stat(path)
  return mtimeMs < bootedAt - 60_000 ? undefined : pid
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOfSystem(error) === 'EPERM'
  }
}

/** When a process started, as this system counts it (Linux: proc(5), field 22, and the boot's id). */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const [status, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    ])
    // The second field, the command, may hold spaces and parentheses: count from its end.
    const ticks = status.slice(status.lastIndexOf(')') + 2).split(' ')[19]
    return ticks === undefined ? undefined : `${boot.trim()}:${ticks}`
  } catch {
    return undefined
  }
}
