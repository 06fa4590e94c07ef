import type { Tensors } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'

/** What the process is sent, once. */
export interface WebGpuTask {
  readonly model: Uint8Array
  readonly inputs: Tensors
}

/** What it answers. `noAdapter`: there is no GPU, or nothing that passes for one. */
export type WebGpuAnswer = { readonly outputs: Tensors } | { readonly error: string; readonly noAdapter: boolean }

async function answer({ model, inputs }: WebGpuTask): Promise<WebGpuAnswer> {
  const runtime = createOnnxNodeRuntime({ provider: 'webgpu' })
  try {
    const session = await runtime.load(model)
    return { outputs: await session.run(inputs) }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    // A provider that is here stays in the list when it cannot take a model.
    return { error: message, noAdapter: !runtime.flags.providers.includes('webgpu') }
  }
}

process.once('message', (task) => {
  void answer(task as WebGpuTask).then((said) => process.send?.(said, () => process.exit(0)))
})
