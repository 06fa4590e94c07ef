import { idSchema } from '@tideway/core'
import { errors } from '../errors.js'
import { readIfThere, writeDurably } from './files.js'
import type { Layout } from './layout.js'

/**
 * Makes the folder this device's, or throws `EDGE_DIR_OTHER_DEVICE`: another device's reports and generations must
 * not go out under this name.
 */
export async function claimIdentity(layout: Layout, device: string, fleet: string): Promise<void> {
  const bytes = await readIfThere(layout.identity)
  const owner = bytes === undefined ? undefined : ownerOf(bytes.toString('utf8'))
  if (owner === undefined) {
    await writeDurably(layout.temporary, layout.identity, JSON.stringify({ v: 1, device, fleet }))
  } else if (owner.device !== device || owner.fleet !== fleet) {
    throw errors.EDGE_DIR_OTHER_DEVICE({
      dir: layout.dir,
      owner: `${owner.fleet}/${owner.device}`,
      device: `${fleet}/${device}`,
    })
  }
}

/** Undefined for a damaged file: then nobody can say whose it was, and it is written anew. */
function ownerOf(text: string): { device: string; fleet: string } | undefined {
  try {
    const { device, fleet } = JSON.parse(text) as Record<string, unknown>
    const [a, b] = [idSchema.safeParse(device), idSchema.safeParse(fleet)]
    return a.success && b.success ? { device: a.data, fleet: b.data } : undefined
  } catch {
    return undefined
  }
}
