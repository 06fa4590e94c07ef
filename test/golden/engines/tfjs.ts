import type { Tensor } from '@tideway/core'
import { createTfjsRuntime } from '@tideway/runtime-tfjs'
import type { GoldenEngine } from './engine.js'
import { tfjsModel } from './tfjs-model.js'

/** TensorFlow.js on a backend of its own, from a Layers model with the weights of the ONNX file. */
function onTfjs(provider: 'wasm' | 'cpu', what: string): GoldenEngine {
  return {
    name: `tfjs ${provider}`,
    what,
    on: 'cpu',
    async open() {
      const runtime = createTfjsRuntime({ providers: [provider] })
      return async ({ network, quantized, onnx, inputs, outputName }) => {
        if (quantized) throw new Error('TensorFlow.js has no form of what our quantizer makes.')
        const session = await runtime.load(await tfjsModel(network, onnx))
        try {
          // It is called by the last layer's name there.
          const [output] = Object.values(await session.run(inputs)) as [Tensor]
          return { outputs: { [outputName]: output }, provider: session.provider }
        } finally {
          await session.dispose()
        }
      }
    },
  }
}

export const tfjsWasm = onTfjs('wasm', 'TensorFlow.js in WebAssembly, in Node')
export const tfjsCpu = onTfjs('cpu', 'TensorFlow.js in plain JavaScript')
