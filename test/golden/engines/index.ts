import { browserWasm, browserWebGpu } from './browser.js'
import type { GoldenEngine } from './engine.js'
import { onnxNode, onnxNodeWebGpu, onnxWasm } from './node.js'
import { tfjsCpu, tfjsWasm, tfjsWebGpu } from './tfjs.js'

export type { Answer, GoldenEngine } from './engine.js'

/** What every other engine is held against. */
export const reference = onnxNode

/** Those that are held against it; one more is one more line. */
export const engines: readonly GoldenEngine[] = [
  onnxWasm,
  onnxNodeWebGpu,
  browserWasm,
  browserWebGpu,
  tfjsWasm,
  tfjsWebGpu,
  tfjsCpu,
]
