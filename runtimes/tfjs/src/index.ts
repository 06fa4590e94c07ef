export { type Choice, chooseBackend, type Skipped } from './backends/index.js'
export { entries as tfjsErrorEntries, errors as tfjsErrors } from './errors.js'
export { packTfjsModel, type Shards } from './format/pack.js'
export { tfjsRuntime } from './plugin.js'
export {
  createTfjsRuntime,
  type TfjsLoadOptions,
  type TfjsOptions,
  type TfjsRuntime,
  type TfjsSession,
} from './runtime.js'
