import { errors, type KeyStore, type StoredKey } from '@tideway/core'

/** Keys in this process's memory, and how often it was asked for changes: several parts may share it as processes do a database. */
export interface MemoryKeyStore extends KeyStore {
  readonly asked: number
  /** Rejects every call until it is called again. */
  fail(isDown: boolean): void
}

export function memoryKeyStore(): MemoryKeyStore {
  const keys = new Map<string, { key: StoredKey; revision: number }>()
  let [revision, asked, down] = [0, 0, false]
  const check = () => {
    if (down) throw errors.STORE_UNAVAILABLE({ store: 'memory' })
  }
  const put = (key: StoredKey): StoredKey => {
    keys.set(key.id, { key, revision: ++revision })
    return key
  }
  return {
    get asked() {
      return asked
    },
    fail: (isDown) => {
      down = isDown
    },
    async create(key) {
      check()
      if (keys.has(key.id)) throw errors.KEY_EXISTS({ key: key.id })
      return put(key)
    },
    async keys() {
      check()
      return [...keys.values()].map(({ key }) => key).toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))
    },
    async revoke(id, at) {
      check()
      const found = keys.get(id)
      if (!found) throw errors.KEY_NOT_FOUND({ key: id })
      return found.key.revokedAt === undefined ? put({ ...found.key, revokedAt: at }) : found.key
    },
    async used(uses) {
      check()
      for (const { id, at } of uses) {
        const found = keys.get(id)
        if (found && (found.key.lastUsedAt ?? '') < at)
          keys.set(id, { key: { ...found.key, lastUsedAt: at }, revision: found.revision })
      }
    },
    async changes(since) {
      asked++
      check()
      const news = [...keys.values()].filter((entry) => entry.revision > since)
      return { keys: news.map(({ key }) => key), revision }
    },
  }
}
