export { type ImportedTrainable, importTrainable } from './imported.js'
export type { FineTuneOptions, HeadOptions } from './options.js'
