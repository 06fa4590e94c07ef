export { entries, errors } from './errors.js'
export { type GrpcLimits, optionsSchema, type ServerGrpcOptions } from './options.js'
export { serverGrpc } from './plugin.js'
export type { Services } from './services.js'
