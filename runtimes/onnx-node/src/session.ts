import {
  arrayClasses,
  checkInputs,
  type DataType,
  type NumericType,
  type Session,
  type Signature,
  errors as shared,
  type Tensor,
  type TensorSpec,
  type Tensors,
} from '@tideway/core'
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { firstLine, type OrtModule } from './binding.js'
import { errors } from './errors.js'

type Metadata = InferenceSession['inputMetadata'][number]
type OrtType = OrtTensor.Type

/** Element types that have no array in JavaScript, so no place in our tensors. */
const UNSUPPORTED: ReadonlySet<OrtType> = new Set<OrtType>(['int4', 'uint4'])

/** Wraps a native session. Throws `MODEL_INVALID` when an input or output is no tensor of a type that we have. */
export async function createSession(ort: OrtModule, native: InferenceSession): Promise<Session> {
  let signature: Signature
  try {
    signature = {
      inputs: native.inputMetadata.map((metadata) => specOf(metadata)),
      outputs: native.outputMetadata.map((metadata) => specOf(metadata)),
    }
  } catch (cause) {
    await native.release()
    throw cause
  }
  const inFlight = new Set<Promise<unknown>>()
  let disposal: Promise<void> | undefined
  return {
    signature,
    async run(inputs) {
      if (disposal !== undefined) throw shared.SESSION_DISPOSED({})
      checkInputs(signature, inputs)
      const nothing = withoutRows(signature, inputs)
      if (nothing !== undefined) return nothing
      const run = native.run(feedsOf(ort, inputs))
      inFlight.add(run)
      try {
        return tensorsOf(await run)
      } catch (cause) {
        throw errors.RUN_FAILED({ reason: firstLine(cause) }, cause)
      } finally {
        inFlight.delete(run)
      }
    },
    dispose() {
      disposal ??= Promise.allSettled(inFlight).then(() => native.release())
      return disposal
    },
  }
}

/**
 * The answer to a batch of no rows, where the signature tells it: each output with a free first size is empty, too. Not
 * left to ONNX Runtime 1.30, whose kernels of LSTM and GRU end the process.
 */
function withoutRows({ inputs: specs, outputs }: Signature, inputs: Tensors): Tensors | undefined {
  const empty = specs.every(({ name, shape }) => shape[0] === null && inputs[name]?.shape[0] === 0)
  const told = outputs.every(
    ({ dtype, shape }) => dtype !== 'string' && shape[0] === null && !shape.slice(1).includes(null),
  )
  if (!empty || !told || specs.length === 0) return undefined
  return Object.fromEntries(
    outputs.map(({ name, dtype, shape }) => {
      const data = new arrayClasses[dtype as NumericType](0)
      return [name, { dtype, shape: [0, ...shape.slice(1).map(Number)], data } as Tensor]
    }),
  )
}

function specOf(metadata: Metadata): TensorSpec {
  const { name } = metadata
  if (!metadata.isTensor)
    throw shared.MODEL_INVALID({ reason: `"${name}" is a sequence, map or optional, not a tensor` })
  if (UNSUPPORTED.has(metadata.type)) throw shared.MODEL_INVALID({ reason: `"${name}" holds ${metadata.type}` })
  // A free dimension is its symbol (a text, maybe empty), a fixed one its size.
  const shape = metadata.shape.map((size) => (typeof size === 'number' ? size : null))
  return { name, dtype: metadata.type as DataType, shape }
}

/** Shares each input's buffer with the library, which reads it during the run. */
function feedsOf(ort: OrtModule, inputs: Tensors): InferenceSession.FeedsType {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, data, shape }]) => [name, new ort.Tensor(dtype, data, shape)]),
  )
}

function tensorsOf(outputs: InferenceSession.ReturnType): Tensors {
  return Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, tensorOf(value)]))
}

function tensorOf({ type, dims, data }: OrtTensor): Tensor {
  // Where JavaScript has Float16Array the library answers with it; our tensors hold the same bits as Uint16Array.
  const array =
    type === 'float16' && ArrayBuffer.isView(data) && !(data instanceof Uint16Array)
      ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / Uint16Array.BYTES_PER_ELEMENT)
      : data
  return { dtype: type, shape: dims, data: array } as Tensor
}
