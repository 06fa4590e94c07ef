import {
  idSchema,
  type KeyOrder,
  type KeyRecord,
  type KeyStore,
  type Keys,
  narrow,
  type StoredKey,
} from '@tideway/core'
import { z } from 'zod'
import { deviceList, modelList, roleList } from '../options.js'
import type { KeyRing } from './ring.js'
import { mintKey } from './text.js'

const orderSchema = z.strictObject({
  name: idSchema,
  roles: roleList,
  models: modelList.optional(),
  devices: deviceList.optional(),
  expiresAt: z.iso
    .datetime({ offset: true })
    .refine((at) => Date.parse(at) > Date.now(), 'must be in the future')
    .optional(),
}) satisfies z.ZodType<KeyOrder>

/** Makes, lists and revokes the keys of a store; the ring of this process knows at once. */
export function keysOf(store: KeyStore, ring: KeyRing): Keys {
  return {
    async create(order, createdBy) {
      const checked = narrow(orderSchema, order, 'the key')
      const { key, ...minted } = mintKey()
      const stored = await store.create({ ...checked, ...minted, createdAt: new Date().toISOString(), createdBy })
      ring.take(stored)
      return { key, record: recordOf(stored) }
    },
    list: async () => (await store.keys()).map(recordOf),
    async revoke(id) {
      const stored = await store.revoke(id, new Date().toISOString())
      ring.take(stored)
      return recordOf(stored)
    },
  }
}

/** All but the digest: it opens nothing, and nobody has a use for it. */
function recordOf(key: StoredKey): KeyRecord {
  const { id, name, roles, models, devices, createdAt, createdBy, expiresAt, revokedAt, lastUsedAt } = key
  return { id, name, roles, models, devices, createdAt, createdBy, expiresAt, revokedAt, lastUsedAt }
}
