export { entries as onnxWebErrorEntries, errors as onnxWebErrors } from './errors.js'
export { type FetchModelOptions, fetchModel, type ModelSource } from './fetch/fetch-model.js'
export { onnxWebRuntime } from './plugin.js'
export {
  createOnnxWebRuntime,
  type OnnxWebLoadOptions,
  type OnnxWebOptions,
  type OnnxWebRuntime,
  type OnnxWebSession,
} from './runtime.js'
