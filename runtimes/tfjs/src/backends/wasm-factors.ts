import * as tf from '@tensorflow/tfjs-core'

/** The part of the WebAssembly backend that a copy is made by. */
type Memory = Pick<tf.KernelBackend, 'disposeData' | 'readSync' | 'write'>

/** The shape in which data was the right factor of a product, by the data itself: tensors that are reshaped share it. */
const shapes = new WeakMap<object, string>()

/**
 * Makes matrix products of TensorFlow.js 4.22's WebAssembly backend right where the same numbers are a right factor in two
 * shapes: it keeps a packed copy by the data alone, and reads and writes out of bounds with the second. That one is copied
 * first. Once a process, after the backend's package is imported.
 */
export function guardFactors(): void {
  for (const name of ['BatchMatMul', '_FusedMatMul']) {
    const kernel = tf.getKernel(name, 'wasm')
    if (kernel === undefined || kernel === null) continue
    tf.unregisterKernel(name, 'wasm')
    tf.registerKernel({ ...kernel, kernelFunc: (order) => guarded(kernel.kernelFunc, order) })
  }
}

type Order = Parameters<tf.KernelFunc>[0]

function guarded(run: tf.KernelFunc, order: Order): ReturnType<tf.KernelFunc> {
  const { b } = order.inputs
  if (b === undefined || isFirst(b)) return run(order)
  const memory = order.backend as Memory
  const dataId = memory.write(memory.readSync(b.dataId), b.shape, b.dtype)
  try {
    return run({ ...order, inputs: { ...order.inputs, b: { ...b, dataId, shape: b.shape, dtype: b.dtype } } })
  } finally {
    memory.disposeData(dataId)
  }
}

/** Whether a tensor's data was no right factor before, or one of the same shape. */
function isFirst({ dataId, shape }: tf.TensorInfo): boolean {
  const text = shape.join()
  const known = shapes.get(dataId)
  if (known === undefined) shapes.set(dataId, text)
  return known === undefined || known === text
}
