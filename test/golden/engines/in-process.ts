import type { Tensors } from '@tideway/core'
import { ask, builtFile } from '../../support/ask.js'
import { chooseVulkanDriver, hasVulkanDriver } from '../../support/vulkan-driver.js'
import type { Answered } from './engine.js'

/** What the process of a provider is told, and what it answers. */
export interface ProviderTask {
  readonly runtime: 'onnx-node' | 'tfjs'
  readonly provider: string
  /** Where it goes when the provider does not take the model as a whole. */
  readonly fallback?: string
  readonly bytes: Uint8Array
  readonly inputs: Tensors
}
export type ProviderAnswer = Answered | { readonly error: string }

const CHILD = builtFile('golden/engines/provider-child.js')
/** A driver that computes on the processor compiles for tens of seconds. */
const MOST_MS = 180_000

/** Names the driver that there is; a text says why there is no WebGPU. */
export function whyNoGpu(): string | undefined {
  chooseVulkanDriver()
  return hasVulkanDriver() ? undefined : 'there is no Vulkan driver (apt-get install chromium libvulkan1)'
}

/** Runs one model in a process of its own, which a driver may end. */
export async function inProcess(task: ProviderTask): Promise<Answered> {
  const answer = await ask<ProviderAnswer>(CHILD, task, { mostMs: MOST_MS, quiet: true })
  if ('error' in answer) throw new Error(answer.error)
  return answer
}
