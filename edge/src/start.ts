import { rm } from 'node:fs/promises'
import { codeOf, type Logger } from '@tideway/core'
import { ModelSlot } from './model/slot.js'
import { claimIdentity } from './store/identity.js'
import type { Layout } from './store/layout.js'
import { lockFolder, type Unlock } from './store/lock.js'
import type { Installed, Pointer } from './store/pointers.js'
import type { Installer } from './update/installer.js'

/** Makes the folder this device's and this process's. One that cannot be written cannot be shared either. */
export async function openFolder(layout: Layout, device: string, fleet: string, logger: Logger): Promise<Unlock> {
  let unlock: Unlock = async () => undefined
  try {
    unlock = await lockFolder(layout)
    await rm(layout.temporary, { recursive: true, force: true })
    await claimIdentity(layout, device, fleet)
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'EDGE_DISK_FULL' && code !== 'EDGE_DISK_READ_ONLY') {
      await unlock()
      throw error
    }
    logger.warn('the folder cannot be written: what is in it is used as it is', { code })
    await claimIdentity(layout, device, fleet).catch((failure: unknown) => {
      if (codeOf(failure) === 'EDGE_DIR_OTHER_DEVICE') throw failure
    })
  }
  return unlock
}

/** Loads what was active, or else what was before it. */
export async function startFromDisk(
  { installer, slots, logger }: { installer: Installer; slots: Map<string, ModelSlot>; logger: Logger },
  pointers: readonly Pointer[],
  failures: [string, Installed, unknown][],
): Promise<Map<string, Pointer>> {
  const installed = new Map<string, Pointer>()
  for (const pointer of pointers) {
    const { model, generation, active, previous } = pointer
    installed.set(model, pointer)
    const slot = new ModelSlot(model, { phase: 'active', generation })
    slots.set(model, slot)
    for (const candidate of previous === undefined ? [active] : [active, previous]) {
      try {
        slot.switchTo(await installer.fromDisk(model, candidate))
        break
      } catch (error) {
        logger.error('a version on disk cannot be used', { model, version: candidate.version, code: codeOf(error) })
        failures.push([model, candidate, error])
        const message = error instanceof Error ? error.message : String(error)
        const { manifestDigest } = candidate
        const failure = { code: codeOf(error) ?? 'UNEXPECTED', message, manifestDigest }
        // The next desired state, also of this generation, must try again.
        slot.progress = { phase: 'failed', generation: 0, error: failure }
      }
    }
  }
  return installed
}
