import {
  arrayClasses,
  elementCount,
  errors,
  guardSession,
  type Runtime,
  type Session,
  type Signature,
  type Tensor,
  type TensorSpec,
  type Tensors,
} from '@tideway/core'
import { parseSignature } from './signature.js'

const NAME = 'null'

/**
 * A runtime without an engine, for tests: a model is the JSON of a `Signature` in UTF-8 (see `encodeSignature`), a run
 * answers zeros of the outputs' shapes. Free dimensions of outputs take the size that the first free dimension of the
 * inputs has in that run (the batch), or 1 if no input has one.
 *
 * @example
 * const session = await createNullRuntime().load(encodeSignature(signature))
 * const { y } = await session.run({ x: { dtype: 'float32', shape: [4, 3], data: new Float32Array(12) } })
 */
export function createNullRuntime(): Runtime {
  return {
    name: NAME,
    flags: { formats: ['tideway-null'], providers: [NAME], precisions: ['fp32', 'fp16', 'int8', 'int4'] },
    async load(bytes, options) {
      const provider = options?.provider ?? NAME
      if (provider !== NAME) throw errors.PROVIDER_UNAVAILABLE({ provider, available: [NAME] })
      return createSession(parseSignature(bytes))
    },
  }
}

function createSession(signature: Signature): Session {
  return guardSession({
    signature,
    async run(inputs) {
      const batch = batchOf(signature, inputs)
      return Object.fromEntries(signature.outputs.map((spec) => [spec.name, zeros(spec, batch)]))
    },
    release: async () => undefined,
  })
}

function batchOf(signature: Signature, inputs: Tensors): number {
  for (const spec of signature.inputs) {
    const axis = spec.shape.indexOf(null)
    if (axis >= 0) return inputs[spec.name]?.shape[axis] ?? 1
  }
  return 1
}

function zeros(spec: TensorSpec, batch: number): Tensor {
  const shape = spec.shape.map((size) => size ?? batch)
  const count = elementCount(shape)
  if (spec.dtype === 'string') return { dtype: spec.dtype, shape, data: Array.from({ length: count }, () => '') }
  // The table's type pairs each name with its array; the compiler cannot follow one key through both.
  return { dtype: spec.dtype, shape, data: new arrayClasses[spec.dtype](count) } as Tensor
}
