import type { Tensor, Tensors } from '@tideway/core'

/** Another engine that devices may run a model on, to see how far engines agree. */
export interface OtherEngine {
  readonly name: string
  run(model: Uint8Array, inputs: Tensors): Promise<Tensors>
}

/** The other engines that are installed here. */
export async function otherEngines(): Promise<readonly OtherEngine[]> {
  const wasm = await wasmEngine()
  return wasm === undefined ? [] : [wasm]
}

/**
 * ONNX Runtime in WebAssembly, as browsers and processors without a native build have it, on one thread. Undefined where
 * the optional package `onnxruntime-web` is not installed.
 */
export async function wasmEngine(): Promise<OtherEngine | undefined> {
  const name = 'onnx-wasm'
  let ort: typeof import('onnxruntime-web')
  try {
    ort = await import('onnxruntime-web')
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND') return undefined
    // One that is there and broken is said as an engine that runs nothing.
    return { name, run: () => Promise.reject(error as Error) }
  }
  ort.env.wasm.numThreads = 1
  return {
    name,
    async run(model, inputs) {
      const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'], logSeverityLevel: 4 })
      try {
        const feeds = Object.entries(inputs).map(
          ([name, { dtype, data, shape }]) => [name, new ort.Tensor(dtype, data, shape)] as const,
        )
        const outputs = await session.run(Object.fromEntries(feeds))
        const tensors = Object.entries(outputs).map(([name, { type, dims, data }]) => {
          // Where JavaScript has Float16Array the library answers with it; our tensors hold the same bits.
          const bits =
            type === 'float16' && ArrayBuffer.isView(data) && !(data instanceof Uint16Array)
              ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
              : data
          return [name, { dtype: type, shape: dims, data: bits } as Tensor] as const
        })
        return Object.fromEntries(tensors)
      } finally {
        await session.release()
      }
    },
  }
}
