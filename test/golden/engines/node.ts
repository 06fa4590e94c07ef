import { createOnnxNodeRuntime, type OnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxWebRuntime, type OnnxWebRuntime } from '@tideway/runtime-onnx-web'
import type { Answer, GoldenEngine } from './engine.js'
import { inProcess, whyNoGpu } from './in-process.js'

/** Answers on a runtime in this process, on one thread: more of them may add in another order. */
function here(runtime: OnnxNodeRuntime | OnnxWebRuntime): Answer {
  return async ({ onnx, inputs }) => {
    const session = await runtime.load(onnx)
    try {
      return { outputs: await session.run(inputs), provider: session.provider }
    } finally {
      await session.dispose()
    }
  }
}

/** What the others are held against. */
export const onnxNode: GoldenEngine = {
  name: 'onnx-node cpu',
  what: 'ONNX Runtime’s native build on the processor',
  on: 'cpu',
  open: async () => here(createOnnxNodeRuntime({ intraOpThreads: 1 })),
}

export const onnxWasm: GoldenEngine = {
  name: 'onnx-web wasm',
  what: 'ONNX Runtime in WebAssembly, in Node',
  on: 'cpu',
  open: async () => here(createOnnxWebRuntime({ intraOpThreads: 1 })),
}

export const onnxNodeWebGpu: GoldenEngine = {
  name: 'onnx-node webgpu',
  what: 'its native WebGPU provider',
  on: 'gpu',
  open: async () =>
    whyNoGpu() ??
    (({ onnx, inputs }) =>
      inProcess({ runtime: 'onnx-node', provider: 'webgpu', fallback: 'webgpu+cpu', bytes: onnx, inputs })),
}
