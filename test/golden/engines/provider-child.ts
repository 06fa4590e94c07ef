import type { Runtime, Session } from '@tideway/core'
import type { ProviderAnswer, ProviderTask } from './in-process.js'

/** Packages are imported here, so that a process has the one runtime that it is asked for. */
const RUNTIMES: Readonly<Record<ProviderTask['runtime'], (task: ProviderTask) => Promise<Runtime>>> = {
  async 'onnx-node'({ provider, fallback }) {
    const { createOnnxNodeRuntime } = await import('@tideway/runtime-onnx-node')
    const step = fallback === undefined ? {} : { fallback: { to: [fallback], onFallback: () => undefined } }
    return createOnnxNodeRuntime({ provider, ...step })
  },
  async tfjs({ provider }) {
    const { createTfjsRuntime } = await import('@tideway/runtime-tfjs')
    return createTfjsRuntime({ providers: [provider] })
  },
}

async function answer(task: ProviderTask): Promise<ProviderAnswer> {
  try {
    const session: Session & { readonly provider?: string } = await (await RUNTIMES[task.runtime](task)).load(
      task.bytes,
    )
    return { outputs: await session.run(task.inputs), provider: session.provider ?? task.provider }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

process.once('message', (task) => {
  void answer(task as ProviderTask).then((said) => process.send?.(said, () => process.exit(0)))
})
