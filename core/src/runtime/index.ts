/**
 * `@tideway/core/runtime`: what the package of a runtime takes of core. Nothing here imports schemas, the wire or the
 * container, so that a process which only runs models is spared some 20 MB and 100 ms of them.
 */
export type { LoadOptions, Runtime, RuntimeFlags, Session } from '../contracts/runtime.js'
export {
  arrayClasses,
  type DataType,
  elementCount,
  type NumericType,
  type Signature,
  type Tensor,
  type TensorSpec,
  type Tensors,
} from '../contracts/tensor.js'
export {
  codeOf,
  defineErrors,
  type ErrorCatalogue,
  type ErrorData,
  type ErrorEntry,
  type ErrorFactories,
  entry,
  TidewayError,
} from '../errors/error.js'
export { errors } from '../errors.js'
export { definePlugin, type Plugin, type PluginDefinition, type PluginUse, type Scope } from '../plugin/plugin.js'
export { type Token, token, tokens } from '../plugin/token.js'
export { type Fallback, type FallbackOptions, loadOnFirst, type Placed, Unusable } from './fallback.js'
export { halfToNumber, numberToHalf } from './half.js'
export { checkInputs, tensorIssues } from './inputs.js'
export { answerNoRows } from './no-rows.js'
export { createOrtSession, type OrtFeed, type OrtMetadata, type OrtSession, type OrtTensor } from './onnx-runtime.js'
export { PROBE } from './probe.js'
export { firstLine, guardSession, type SessionEngine } from './session.js'
