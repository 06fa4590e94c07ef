import { codeOf, type DesiredModel, type DesiredState, type Logger } from '@tideway/core'
import { backoffMs } from '../backoff.js'
import { errors } from '../errors.js'
import type { ModelSlot, Progress } from '../model/slot.js'
import type { EdgeLimits } from '../options.js'
import type { ChunkFiles } from '../store/chunks.js'
import type { Installed, Pointer, Pointers } from '../store/pointers.js'
import { type Installer, mayRecover } from './installer.js'

export interface UpdaterParts {
  readonly installer: Installer
  readonly chunks: ChunkFiles
  readonly pointers: Pointers
  readonly slots: Map<string, ModelSlot>
  /** What is on disk, by model. */
  readonly installed: Map<string, Pointer>
  readonly limits: EdgeLimits
  readonly logger: Logger
  newSlot(name: string): ModelSlot
  /** A status changed: report it. */
  onChange(): void
  /** A version could not be activated: report it. */
  onFailure(model: string, want: DesiredModel, error: unknown): void
  /** A version is no longer asked: drain it, seal its window and dispose of it, in the background. */
  retire(slot: ModelSlot, before: NonNullable<ModelSlot['active']>): void
}

/** Follows desired state: the newest generation wins, and aborts what an older one had begun. */
export interface Updater {
  readonly generation: number
  offer(desired: DesiredState): void
  /** The link is back: no need to wait longer. */
  retryNow(): void
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
  close(): Promise<void>
}

export function createUpdater(parts: UpdaterParts, last: DesiredState | undefined): Updater {
  const { installer, pointers, slots, installed, limits, logger } = parts
  let generation = last?.generation ?? 0
  let current: DesiredState | undefined
  let running: { readonly abort: AbortController; readonly done: Promise<void> } | undefined
  let retry: NodeJS.Timeout | undefined
  let failedRounds = 0
  let closed = false

  const restart = (desired: DesiredState): void => {
    clearTimeout(retry)
    retry = undefined
    const before = running
    before?.abort.abort()
    const abort = new AbortController()
    const done = (before?.done ?? Promise.resolve())
      .then(() => apply(desired, abort.signal))
      .catch((error: unknown) => {
        if (!abort.signal.aborted) logger.error('an update ended unexpectedly', { error: String(error) })
      })
      .finally(() => {
        if (running?.abort === abort) running = undefined
      })
    running = { abort, done }
  }

  const apply = async (desired: DesiredState, signal: AbortSignal): Promise<void> => {
    await pointers.writeDesired(desired).catch((error: unknown) => {
      // Without it a restart may take an older generation from a lagging mirror; not a reason to stay behind now.
      logger.warn('the desired state could not be kept', { code: codeOf(error) })
    })
    let open = 0
    for (const [name, want] of Object.entries(desired.models)) {
      signal.throwIfAborted()
      const slot = slots.get(name) ?? parts.newSlot(name)
      slots.set(name, slot)
      if (!(await update(slot, want, desired.generation, signal))) open += 1
    }
    signal.throwIfAborted()
    await dropUnwanted(desired)
    if (open === 0) {
      failedRounds = 0
      await collect()
      return
    }
    failedRounds += 1
    const delay = backoffMs(failedRounds, limits.retryBaseMs * 10, limits.retryMaxMs)
    retry = setTimeout(() => {
      retry = undefined
      if (!isExpired(desired, logger)) restart(desired)
    }, delay)
  }

  /** False when it failed and may come out otherwise later. */
  const update = async (slot: ModelSlot, want: DesiredModel, wanted: number, signal: AbortSignal): Promise<boolean> => {
    try {
      if (isActive(slot, want)) return await confirm(slot, wanted)
      if (isHopeless(slot, want, wanted)) return true
      await install(slot, want, wanted, signal)
      return true
    } catch (error) {
      if (signal.aborted) throw error
      const code = codeOf(error) ?? 'UNEXPECTED'
      const message = error instanceof Error ? error.message : String(error)
      const failure = { code, message, manifestDigest: want.manifestDigest }
      const isNews = slot.progress.error?.code !== code || slot.progress.generation !== wanted
      setProgress(slot, { phase: 'failed', generation: wanted, error: failure })
      logger.warn('a version could not be activated', { model: slot.name, version: want.version, code })
      if (isNews) parts.onFailure(slot.name, want, error)
      return !mayRecover(code)
    }
  }

  const install = async (slot: ModelSlot, want: DesiredModel, wanted: number, signal: AbortSignal): Promise<void> => {
    const { progress } = slot
    const isRetry = progress.generation === wanted && progress.phase === 'failed'
    if (!isRetry) slot.bytesFetched = 0
    // Between attempts the device stays "failed": a report for each attempt would say nothing new.
    const enter = (phase: Progress['phase']) => {
      if (!isRetry) setProgress(slot, { phase, generation: wanted })
    }
    enter('fetching')
    const next = await installer.install(slot.name, want, {
      signal,
      onBytes: (bytes) => {
        slot.bytesFetched += bytes
      },
      onVerifying: () => enter('verifying'),
    })
    try {
      await point(slot.name, next.installed, wanted)
    } catch (error) {
      await next.dispose()
      throw error
    }
    const before = slot.switchTo(next)
    setProgress(slot, { phase: 'active', generation: wanted })
    logger.info('a version is active', { model: slot.name, ...next.installed, generation: wanted })
    if (before !== undefined) parts.retire(slot, before)
  }

  const confirm = async (slot: ModelSlot, wanted: number): Promise<boolean> => {
    const pointer = installed.get(slot.name)
    const now = slot.active?.installed
    // After a start on the previous version the pointer may still name one that could not be loaded.
    const isSame = pointer?.generation === wanted && pointer.active.manifestDigest === now?.manifestDigest
    if (now !== undefined && !isSame) await point(slot.name, now, wanted)
    setProgress(slot, { phase: 'active', generation: wanted })
    return true
  }

  /** Makes a version the active one on disk; the one before stays for the way back. */
  const point = async (model: string, active: Installed, wanted: number): Promise<void> => {
    const before = installed.get(model)
    const isSame = before?.active.manifestDigest === active.manifestDigest && before.active.variant === active.variant
    const previous = isSame ? before?.previous : before?.active
    const pointer: Pointer = { model, generation: wanted, active, ...(previous && { previous }) }
    await pointers.write(pointer)
    installed.set(model, pointer)
  }

  const dropUnwanted = async (desired: DesiredState): Promise<void> => {
    for (const [name, slot] of slots) {
      if (Object.hasOwn(desired.models, name)) continue
      await pointers.remove(name).catch((error: unknown) => logger.warn('a pointer stays', { code: codeOf(error) }))
      installed.delete(name)
      slots.delete(name)
      const before = slot.switchTo(undefined)
      if (before !== undefined) parts.retire(slot, before)
      logger.info('a model is no longer wanted', { model: name })
      parts.onChange()
    }
  }

  const collect = async (): Promise<void> => {
    const kept = [...installed.values()].flatMap(({ active, previous }) => (previous ? [active, previous] : [active]))
    try {
      const removed = await parts.chunks.keepOnly(await installer.chunksOf(kept))
      if (removed > 0) logger.debug('chunks that nothing needs were removed', { removed })
    } catch (error) {
      logger.warn('old chunks could not be removed', { code: codeOf(error) })
    }
  }

  const setProgress = (slot: ModelSlot, progress: Progress): void => {
    const before = slot.progress
    slot.progress = progress
    const isSame =
      before.phase === progress.phase &&
      before.generation === progress.generation &&
      before.error?.code === progress.error?.code
    if (!isSame) parts.onChange()
  }

  return {
    get generation() {
      return generation
    },
    offer(desired) {
      if (closed || desired.generation < generation) return
      if (isExpired(desired, logger)) return
      // The same state comes again with every reconnect: it must not disturb the download that it began.
      const isSame = current !== undefined && sameWish(current, desired)
      if (isSame && (running !== undefined || retry !== undefined)) return
      if (!isSame) failedRounds = 0
      generation = desired.generation
      current = desired
      restart(desired)
    },
    retryNow() {
      if (!closed && retry !== undefined && current !== undefined) restart(current)
    },
    async idle() {
      while (running !== undefined) await running.done
    },
    async close() {
      closed = true
      clearTimeout(retry)
      retry = undefined
      running?.abort.abort()
      await running?.done
    },
  }
}

function isActive(slot: ModelSlot, want: DesiredModel): boolean {
  const installed = slot.active?.installed
  if (installed?.manifestDigest !== want.manifestDigest) return false
  return want.variant === undefined || want.variant === installed.variant
}

/** Refused for good in this generation: only a newer one makes it worth another try. */
function isHopeless({ progress }: ModelSlot, want: DesiredModel, generation: number): boolean {
  const { phase, error } = progress
  if (phase !== 'failed' || progress.generation !== generation) return false
  return error?.manifestDigest === want.manifestDigest && !mayRecover(error.code)
}

/** An order that came too late is not carried out: what runs goes on. */
function isExpired({ generation, expiresAt }: DesiredState, logger: Logger): boolean {
  if (expiresAt === undefined || Date.parse(expiresAt) > Date.now()) return false
  logger.warn(errors.DESIRED_EXPIRED({ generation, expiresAt }).message)
  return true
}

function sameWish(a: DesiredState, b: DesiredState): boolean {
  return a.generation === b.generation && JSON.stringify(a.models) === JSON.stringify(b.models)
}
