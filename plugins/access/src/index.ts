export { type AccessParts, createAccess, type OpenedAccess } from './access.js'
export { type AccessInput, type AccessOptions, optionsSchema } from './options.js'
export { access } from './plugin.js'
