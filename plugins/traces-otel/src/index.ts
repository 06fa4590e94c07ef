export { tracesOtel, tracesOtelOptions } from './plugin.js'
export { otelTracer } from './tracer.js'
