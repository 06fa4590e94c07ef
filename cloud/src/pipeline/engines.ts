import type { Tensors } from '@tideway/core'
import { webgpuEngine } from './webgpu.js'

/** Another engine that devices may run a model on, to see how far engines agree. */
export interface OtherEngine {
  readonly name: string
  run(model: Uint8Array, inputs: Tensors): Promise<Tensors>
}

/** The other engines that are here. */
export async function otherEngines(): Promise<readonly OtherEngine[]> {
  return [await wasmEngine(), webgpuEngine()].filter((engine) => engine !== undefined)
}

/**
 * ONNX Runtime in WebAssembly, as browsers and processors without a native build have it, on one thread. Undefined where
 * the optional package `@tideway/runtime-onnx-web` is not installed.
 */
export async function wasmEngine(): Promise<OtherEngine | undefined> {
  const name = 'onnx-wasm'
  let web: typeof import('@tideway/runtime-onnx-web')
  try {
    web = await import('@tideway/runtime-onnx-web')
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND') return undefined
    // One that is there and broken is said as an engine that runs nothing.
    return { name, run: () => Promise.reject(error as Error) }
  }
  const runtime = web.createOnnxWebRuntime({ intraOpThreads: 1 })
  return {
    name,
    async run(model, inputs) {
      const session = await runtime.load(model)
      try {
        return await session.run(inputs)
      } finally {
        await session.dispose()
      }
    },
  }
}
