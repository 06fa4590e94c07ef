export { entries, errors } from './errors.js'
export type { StoreOptions } from './options.js'
export { storePostgres } from './plugin.js'
export { openStore, type Store } from './store.js'
