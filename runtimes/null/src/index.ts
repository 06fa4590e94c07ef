export { createNullRuntime } from './runtime.js'
export { encodeSignature, parseSignature } from './signature.js'
