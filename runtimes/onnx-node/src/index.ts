export { onnxNodeRuntime } from './plugin.js'
export { createOnnxNodeRuntime, type OnnxNodeOptions } from './runtime.js'
