import { createOnnxNodeRuntime, type OnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxWebRuntime, type OnnxWebRuntime } from '@tideway/runtime-onnx-web'
import { ask, builtFile } from '../../support/ask.js'
import { chooseVulkanDriver, hasVulkanDriver } from '../../support/vulkan-driver.js'
import type { GoldenModel } from '../models.js'
import type { Answer, Answered, GoldenEngine } from './engine.js'

/** What the process of a provider is told, and what it answers. */
export type ProviderTask = Pick<GoldenModel, 'onnx' | 'inputs'> & {
  readonly provider: string
  readonly fallback: string
}
export type ProviderAnswer = Answered | { readonly error: string }

const CHILD = builtFile('golden/engines/provider-child.js')
/** A driver that computes on the processor compiles for tens of seconds. */
const MOST_MS = 180_000

/** Answers on a runtime in this process, on one thread: more of them may add in another order. */
function inProcess(runtime: OnnxNodeRuntime | OnnxWebRuntime): Answer {
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
  open: async () => inProcess(createOnnxNodeRuntime({ intraOpThreads: 1 })),
}

export const onnxWasm: GoldenEngine = {
  name: 'onnx-web wasm',
  what: 'ONNX Runtime in WebAssembly, in Node',
  on: 'cpu',
  open: async () => inProcess(createOnnxWebRuntime({ intraOpThreads: 1 })),
}

/** Each model in a process of its own, which a driver may end. */
export const onnxNodeWebGpu: GoldenEngine = {
  name: 'onnx-node webgpu',
  what: 'its native WebGPU provider',
  on: 'gpu',
  async open() {
    chooseVulkanDriver()
    if (!hasVulkanDriver()) return 'there is no Vulkan driver (apt-get install chromium libvulkan1)'
    return async ({ onnx, inputs }) => {
      const task: ProviderTask = { onnx, inputs, provider: 'webgpu', fallback: 'webgpu+cpu' }
      const answer = await ask<ProviderAnswer>(CHILD, task, { mostMs: MOST_MS, quiet: true })
      if ('error' in answer) throw new Error(answer.error)
      return answer
    }
  },
}
