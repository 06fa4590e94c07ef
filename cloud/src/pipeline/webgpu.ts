import { existsSync } from 'node:fs'
import type { Tensors } from '@tideway/core'
import { ask } from '../process/ask.js'
import type { OtherEngine } from './engines.js'
import type { WebGpuAnswer, WebGpuTask } from './webgpu-child.js'

/** The built file, from `src` and from `dist` alike: Node 20 runs no TypeScript. */
const CHILD = new URL('../../dist/pipeline/webgpu-child.js', import.meta.url)
const MOST_MS = 20_000
/** What Linux shows of GPUs. */
const DEVICES = ['/dev/dri', '/dev/nvidiactl', '/dev/dxg']

/**
 * ONNX Runtime's WebGPU provider, which takes a model as a whole or not at all, each run in a process of its own: what a
 * driver does to it, and writes to its standard error, stays there. Undefined where no GPU is to be seen, unless a driver
 * that computes on the CPU will do (`software`): that takes minutes to compile a larger network.
 */
export function webgpuEngine({ mostMs = MOST_MS, software = false } = {}): OtherEngine | undefined {
  const isHidden = process.platform === 'linux' && !DEVICES.some((path) => existsSync(path))
  if (isHidden && !software) return undefined
  return { name: 'onnx-webgpu', run: (model, inputs) => inChild({ model, inputs }, mostMs) }
}

async function inChild(message: WebGpuTask, mostMs: number): Promise<Tensors> {
  const answer = await ask<WebGpuAnswer>({ file: CHILD, message, mostMs })
  if ('outputs' in answer) return answer.outputs
  throw new Error(answer.noAdapter ? `there is no adapter: ${answer.error}` : answer.error)
}
