export { onnxNodeRuntime } from './plugin.js'
export {
  createOnnxNodeRuntime,
  type OnnxNodeLoadOptions,
  type OnnxNodeOptions,
  type OnnxNodeRuntime,
  type OnnxNodeSession,
} from './runtime.js'
