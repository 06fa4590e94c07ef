import type { Tensor, Tensors } from '@tideway/core'
import { createTfjsRuntime } from '@tideway/runtime-tfjs'
import type { GoldenModel } from '../models.js'
import type { Answer, Answered, GoldenEngine } from './engine.js'
import { inProcess, whyNoGpu } from './in-process.js'
import { tfjsModel } from './tfjs-model.js'

/** Answers by a way to run a Layers model, whose weights are those of the ONNX file. */
function answering(run: (bytes: Uint8Array, inputs: Tensors) => Promise<Answered>): Answer {
  return async ({ network, quantized, onnx, inputs, outputName }: GoldenModel) => {
    if (quantized) throw new Error('TensorFlow.js has no form of what our quantizer makes.')
    const { outputs, provider } = await run(await tfjsModel(network, onnx), inputs)
    // It is called by the last layer's name there.
    const [output] = Object.values(outputs) as [Tensor]
    return { outputs: { [outputName]: output }, provider }
  }
}

function here(provider: 'wasm' | 'cpu'): Answer {
  const runtime = createTfjsRuntime({ providers: [provider] })
  return answering(async (bytes, inputs) => {
    const session = await runtime.load(bytes)
    try {
      return { outputs: await session.run(inputs), provider: session.provider }
    } finally {
      await session.dispose()
    }
  })
}

export const tfjsWasm: GoldenEngine = {
  name: 'tfjs wasm',
  what: 'TensorFlow.js in WebAssembly, in Node',
  on: 'cpu',
  open: async () => here('wasm'),
}

export const tfjsCpu: GoldenEngine = {
  name: 'tfjs cpu',
  what: 'TensorFlow.js in plain JavaScript',
  on: 'cpu',
  open: async () => here('cpu'),
}

export const tfjsWebGpu: GoldenEngine = {
  name: 'tfjs webgpu',
  what: 'TensorFlow.js on WebGPU, in Node by the package webgpu',
  on: 'gpu',
  open: async () =>
    whyNoGpu() ?? answering((bytes, inputs) => inProcess({ runtime: 'tfjs', provider: 'webgpu', bytes, inputs })),
}
