import type { Backend } from './backend.js'
import { cpu } from './cpu.js'
import { tfjsNode, tfjsNodeGpu } from './tensorflow.js'
import { wasm } from './wasm.js'
import { webgpu } from './webgpu.js'

/** The fastest first, where it is there. */
export const BACKENDS: readonly Backend[] = [tfjsNodeGpu, tfjsNode, webgpu, wasm, cpu]

export const BACKEND_NAMES: readonly string[] = BACKENDS.map(({ name }) => name)

export function backendNamed(name: string): Backend | undefined {
  return BACKENDS.find((backend) => backend.name === name)
}
