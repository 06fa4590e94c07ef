export type { Backend, Skipped, Started } from './backend.js'
export { type Choice, chooseBackend, startBackend } from './choose.js'
export { holdBackend, onBackend } from './exclusive.js'
export { BACKEND_NAMES, BACKENDS, backendNamed } from './table.js'
