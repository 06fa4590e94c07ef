import { env } from 'node:process'
import util from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { firstLine, Unusable } from '@tideway/core'
import type { Backend, Started } from './backend.js'
import { initialize, isInitialized } from './initialize.js'
import { importPeer, isInstalled } from './peer.js'

const ENGINE = 'tensorflow'
const CPU = '@tensorflow/tfjs-node'
const GPU = '@tensorflow/tfjs-node-gpu'

/** What both packages say of themselves in their backend. */
interface NodeBackend {
  readonly isGPUPackage?: boolean
  readonly isUsingGpuDevice?: boolean
}

/**
 * Loads TensorFlow's C library through one of its two packages, which register their backend under one name: a process can
 * have one of them. Throws `Unusable`. `load` is there for tests.
 */
export async function startTensorflow(
  name: typeof CPU | typeof GPU,
  threads?: number,
  load: (name: string) => Promise<unknown> = importPeer,
): Promise<Started> {
  if (!isInitialized(ENGINE)) await register(name, threads, load)
  const backend = tf.engine().registry[ENGINE] as NodeBackend | undefined
  if (name === GPU && backend?.isGPUPackage !== true)
    throw new Unusable(`this process has loaded ${CPU} already, whose backend has the same name`, false)
  if (name === GPU && backend?.isUsingGpuDevice !== true)
    throw new Unusable('it finds no GPU, or not the CUDA libraries that it needs', false)
  if (name === CPU && backend?.isUsingGpuDevice === true)
    throw new Unusable(`this process has loaded ${GPU}, whose backend has the same name`, false)
  return {}
}

async function register(name: string, threads: number | undefined, load: (name: string) => Promise<unknown>) {
  // Removed in Node 23; both packages' kernels call them.
  const old = util as { isNullOrUndefined?: (value: unknown) => boolean; isArray?: (value: unknown) => boolean }
  old.isNullOrUndefined ??= (value) => value === null || value === undefined
  old.isArray ??= Array.isArray
  // TensorFlow reads them when it makes its pools of threads, once.
  if (threads !== undefined)
    for (const variable of ['TF_NUM_INTRAOP_THREADS', 'OMP_NUM_THREADS']) env[variable] ??= String(threads)
  const before = tf.getBackend()
  try {
    await load(name)
    await initialize(ENGINE)
    // The packages switch to their backend themselves; from here on it is initialized.
    await tf.setBackend(ENGINE)
  } catch (cause) {
    throw cause instanceof Unusable ? cause : new Unusable(firstLine(cause), false, cause)
  } finally {
    if (before) await tf.setBackend(before)
  }
}

export const tfjsNodeGpu: Backend = {
  name: 'tfjs-node-gpu',
  engine: ENGINE,
  package: GPU,
  get: `npm install ${GPU}@4.22.0, on Linux or Windows x64 with an NVIDIA GPU, CUDA 11.2 and cuDNN 8.1`,
  maxThreads: Number.POSITIVE_INFINITY,
  mayBeHere: () => isInstalled(GPU),
  start: (threads) => startTensorflow(GPU, threads),
}

export const tfjsNode: Backend = {
  name: 'tfjs-node',
  engine: ENGINE,
  package: CPU,
  get: `npm install ${CPU}@4.22.0 (it downloads TensorFlow's C library while it is installed)`,
  maxThreads: Number.POSITIVE_INFINITY,
  mayBeHere: () => isInstalled(CPU),
  start: (threads) => startTensorflow(CPU, threads),
}
