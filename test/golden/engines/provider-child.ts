import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import type { ProviderAnswer, ProviderTask } from './node.js'

async function answer({ onnx, inputs, provider, fallback }: ProviderTask): Promise<ProviderAnswer> {
  try {
    const to = { to: [fallback], onFallback: () => undefined }
    const session = await createOnnxNodeRuntime({ provider, fallback: to }).load(onnx)
    return { outputs: await session.run(inputs), provider: session.provider }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

process.once('message', (task) => {
  void answer(task as ProviderTask).then((said) => process.send?.(said, () => process.exit(0)))
})
