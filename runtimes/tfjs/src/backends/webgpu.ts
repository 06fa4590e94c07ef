import { firstLine, Unusable } from '@tideway/core'
import type { Backend, Started } from './backend.js'
import { initialize } from './initialize.js'
import { importPeer, isInstalled } from './peer.js'

/** The little of WebGPU's API that is asked here; its types are in no library of the compiler yet. */
interface Gpu {
  requestAdapter(): Promise<Adapter | null>
}
interface Adapter {
  readonly isFallbackAdapter?: boolean
  readonly info?: {
    readonly isFallbackAdapter?: boolean
    readonly vendor?: string
    readonly architecture?: string
    readonly device?: string
    readonly description?: string
  }
}

/** Drivers that compute on the CPU, by their names: not every one says that it is a fallback. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render/i

const gpuHere = (): Gpu | undefined => (globalThis.navigator as { readonly gpu?: Gpu } | undefined)?.gpu

/** Node has no WebGPU of its own: Dawn, which is Chromium's, comes as an optional peer and is put where a page has it. */
async function takeDawn(): Promise<Gpu> {
  const { create, globals } = await importPeer('webgpu')
  if (typeof create !== 'function' || typeof globals !== 'object')
    throw new Unusable('the package webgpu is not the one that is known', false)
  Object.assign(globalThis, globals)
  // Node 20 has no navigator.
  if (globalThis.navigator === undefined)
    Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true, writable: true })
  const gpu = create([]) as Gpu
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true })
  return gpu
}

async function start(): Promise<Started> {
  const gpu = gpuHere() ?? (await takeDawn())
  const adapter = await gpu.requestAdapter().catch((cause: unknown) => {
    throw new Unusable(firstLine(cause), false, cause)
  })
  if (adapter === null) throw new Unusable('WebGPU finds no adapter: no GPU, or no driver for it', false)
  // It registers its backend while it is loaded, if there is WebGPU then.
  await import('@tensorflow/tfjs-backend-webgpu')
  await initialize('webgpu')
  const { info } = adapter
  const name = [info?.description, info?.device, info?.architecture].find((text) => text) ?? 'the adapter'
  const isSoftware = adapter.isFallbackAdapter === true || info?.isFallbackAdapter === true || SOFTWARE.test(name)
  return isSoftware ? { software: name } : {}
}

export const webgpu: Backend = {
  name: 'webgpu',
  engine: 'webgpu',
  package: '@tensorflow/tfjs-backend-webgpu',
  get: 'npm install webgpu, and a GPU with its driver; on Linux Vulkan, too (apt-get install libvulkan1)',
  maxThreads: Number.POSITIVE_INFINITY,
  mayBeHere: () => gpuHere() !== undefined || isInstalled('webgpu'),
  start,
}
