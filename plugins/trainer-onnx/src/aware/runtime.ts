import { errors, type Runtime, type Tensor, type Tensors } from '@tideway/core'
import { readModel, signatureOf } from '@tideway/onnx'
import { Tensor as EngineTensor, InferenceSession } from 'onnxruntime-node'

/**
 * The trainer's own engine as a `Runtime`, for what is computed between its epochs: constants folded, ranges observed.
 * A plugin imports no runtime of ours, and the host's may be on another device.
 */
export const engineRuntime: Runtime = {
  name: 'onnxruntime-node',
  flags: { formats: ['onnx'], providers: ['cpu'], precisions: ['fp32'] },
  async load(bytes, { intraOpThreads } = {}) {
    const threads = intraOpThreads === undefined ? {} : { intraOpNumThreads: intraOpThreads }
    const session = await InferenceSession.create(bytes, { logSeverityLevel: 3, ...threads }).catch(
      (cause: unknown) => {
        throw errors.MODEL_INVALID({ reason: 'the engine cannot load it' }, cause)
      },
    )
    let disposal: Promise<void> | undefined
    return {
      // The graph of a probe may say nothing of its outputs' types: read only by who asks.
      get signature() {
        return signatureOf(readModel(bytes))
      },
      async run(inputs) {
        if (disposal !== undefined) throw errors.SESSION_DISPOSED({})
        const feeds = Object.entries(inputs).map(([name, { dtype, shape, data }]) => [
          name,
          new EngineTensor(dtype as 'float32', data as Float32Array, [...shape]),
        ])
        return tensorsOf(await session.run(Object.fromEntries(feeds)))
      },
      dispose: () => (disposal ??= session.release()),
    }
  },
}

function tensorsOf(results: InferenceSession.OnnxValueMapType): Tensors {
  return Object.fromEntries(
    Object.entries(results).map(([name, { type, dims, data }]) => [name, { dtype: type, shape: dims, data } as Tensor]),
  )
}
