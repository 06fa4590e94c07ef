import util from 'node:util'
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { chooseBackend } from './choose.js'
import { isInstalled } from './peer.js'
import { BACKEND_NAMES, backendNamed } from './table.js'
import { startTensorflow } from './tensorflow.js'

const CPU = '@tensorflow/tfjs-node'
const GPU = '@tensorflow/tfjs-node-gpu'

describe('the choice of a backend', () => {
  it('prefers the GPU, then the C library, then WebGPU, WebAssembly and JavaScript', () => {
    expect(BACKEND_NAMES).toEqual(['tfjs-node-gpu', 'tfjs-node', 'webgpu', 'wasm', 'cpu'])
  })

  it('takes the first that is here, and says of each before it why not and how to get it', async () => {
    const { backend, engine, skipped } = await chooseBackend(['tfjs-node-gpu', 'tfjs-node', 'wasm', 'cpu'])
    const missing = [GPU, CPU].filter((name) => !isInstalled(name))
    // Where a developer has installed one, the order is the same and it is chosen.
    if (missing.length === 2) expect([backend, engine]).toEqual(['wasm', 'wasm'])
    expect(skipped.map((one) => one.backend)).toEqual(
      BACKEND_NAMES.slice(0, BACKEND_NAMES.indexOf(backend)).filter((name) => name !== 'webgpu'),
    )
    for (const { backend: name, reason, get } of skipped) {
      const { package: from } = backendNamed(name)!
      if (missing.includes(from)) expect(reason).toBe(`the package ${from} is not installed`)
      expect(get).toContain(`npm install ${from}@4.22.0`)
    }
  })

  it('follows another order, and does not look further', async () => {
    expect(await chooseBackend(['cpu', 'wasm'])).toEqual({ backend: 'cpu', engine: 'cpu', skipped: [] })
  })

  it('leaves the backend that other code has chosen', async () => {
    await chooseBackend(['cpu'])
    await tf.setBackend('cpu')
    await chooseBackend(['wasm'])
    expect(tf.getBackend()).toBe('cpu')
    expect(tf.tidy(() => [...tf.add(tf.tensor1d([1, 2]), 1).dataSync()])).toEqual([2, 3])
  })

  it('names every backend that is none, and refuses an empty order', async () => {
    await expect(chooseBackend(['wasm', 'webgl', 'gpu'])).rejects.toMatchObject({
      code: 'INPUT_REJECTED',
      data: { issues: [expect.stringContaining('providers.1: webgl'), expect.stringContaining('providers.2: gpu')] },
    })
    await expect(chooseBackend([])).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
  })

  it('of none that is here says what each of them lacks', async () => {
    const order = ['tfjs-node-gpu', 'tfjs-node'].filter((name) => !isInstalled(backendNamed(name)!.package))
    const error: unknown = await chooseBackend(order).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'TFJS_BACKENDS_UNAVAILABLE',
      data: { skipped: order.map((backend) => ({ backend })) },
    })
    for (const name of order) expect((error as Error).message).toContain(`npm install ${backendNamed(name)!.package}`)
  })
})

/**
 * Stands for the packages that bring TensorFlow's C library, which no registry's archive holds: registers a backend by the
 * same name and with the same properties, and switches to it, as they do.
 */
class Library extends MathBackendCPU {
  constructor(
    readonly isGPUPackage: boolean,
    readonly isUsingGpuDevice: boolean,
  ) {
    super()
  }
}
const loading = (gpuPackage: boolean, gpu: boolean) => async () => {
  tf.registerBackend('tensorflow', () => new Library(gpuPackage, gpu), 3)
  return tf.setBackend('tensorflow')
}

describe('the packages for Node', () => {
  afterEach(() => {
    if (tf.findBackendFactory('tensorflow')) tf.removeBackend('tensorflow')
  })

  it('are loaded with what newer versions of Node have removed, and do not stay chosen', async () => {
    await chooseBackend(['cpu'])
    await tf.setBackend('cpu')
    const old = util as { isNullOrUndefined?: (value: unknown) => boolean }
    const saved = old.isNullOrUndefined
    delete old.isNullOrUndefined
    try {
      await startTensorflow(CPU, undefined, loading(false, false))
      expect([undefined, null, 0].map((value) => old.isNullOrUndefined?.(value))).toEqual([true, true, false])
    } finally {
      old.isNullOrUndefined = saved
    }
    expect(tf.getBackend()).toBe('cpu')
    expect(Object.keys(tf.engine().registry)).toContain('tensorflow')
  })

  it('give a GPU only where there is one', async () => {
    const none = startTensorflow(GPU, undefined, loading(true, false))
    await expect(none).rejects.toMatchObject({ name: 'Unusable', message: expect.stringContaining('no GPU') })
    // The same library computes on the CPU then.
    expect(await startTensorflow(CPU, undefined, loading(false, false))).toEqual({})
  })

  it('are one in a process', async () => {
    expect(await startTensorflow(GPU, undefined, loading(true, true))).toEqual({})
    await expect(startTensorflow(CPU)).rejects.toThrow(`this process has loaded ${GPU}`)
    tf.removeBackend('tensorflow')
    expect(await startTensorflow(CPU, undefined, loading(false, false))).toEqual({})
    await expect(startTensorflow(GPU)).rejects.toThrow(`this process has loaded ${CPU} already`)
  })

  it('without their library are skipped with what they said', async () => {
    const load = async () => {
      throw new Error('The Node.js native addon module (tfjs_binding.node) can not be found at path: x\nPlease run y')
    }
    await expect(startTensorflow(CPU, undefined, load)).rejects.toMatchObject({
      name: 'Unusable',
      message: 'The Node.js native addon module (tfjs_binding.node) can not be found at path: x',
    })
  })
})
