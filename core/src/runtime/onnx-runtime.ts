import type { Session } from '../contracts/runtime.js'
import type { DataType, Signature, Tensor, TensorSpec } from '../contracts/tensor.js'
import { errors } from '../errors.js'
import { answersNoRows, hasNoRows, withoutRows } from './no-rows.js'
import { guard } from './session.js'

/** A tensor of ONNX Runtime's JavaScript API. */
export interface OrtTensor {
  readonly type: string
  readonly dims: readonly number[]
  readonly data: unknown
}

/** One input or output of a session of ONNX Runtime's JavaScript API. */
export interface OrtMetadata {
  readonly name: string
  readonly isTensor: boolean
  readonly type?: string
  /** A free dimension is its symbol (a text, maybe empty), a fixed one its size. */
  readonly shape?: readonly (number | string)[]
}

/**
 * The part of `onnxruntime-common`'s `InferenceSession` that ours needs. Written down and not imported: core has no
 * engine among its dependencies, and ONNX Runtime's packages for Node and for the web both fit it.
 */
export interface OrtSession<T extends OrtTensor> {
  readonly inputMetadata: readonly OrtMetadata[]
  readonly outputMetadata: readonly OrtMetadata[]
  run(feeds: Record<string, T>): Promise<Readonly<Record<string, OrtTensor>>>
  release(): Promise<void>
}

/** A tensor of ours that ONNX Runtime's JavaScript API has a type for: it has none for bfloat16. */
export type OrtFeed = Exclude<Tensor, { readonly dtype: 'bfloat16' }>

/** Element types that have no array in JavaScript, so no place in our tensors, and none in ONNX Runtime's. */
const UNSUPPORTED: ReadonlySet<string | undefined> = new Set(['int4', 'uint4', 'bfloat16', undefined])

/**
 * Makes a `Session` of one of ONNX Runtime, for the runtimes on its packages; `tensor` makes the package's own tensor of
 * ours, whose buffer may be shared. Throws `MODEL_INVALID` when an input or output is no tensor of a type that we have;
 * the engine's session is released then.
 */
export async function createOrtSession<T extends OrtTensor>(
  native: OrtSession<T>,
  tensor: (tensor: OrtFeed) => T,
): Promise<Session> {
  let signature: Signature
  try {
    signature = { inputs: native.inputMetadata.map(specOf), outputs: native.outputMetadata.map(specOf) }
  } catch (cause) {
    await native.release()
    throw cause
  }
  const mayBeEmpty = answersNoRows(signature)
  const inputNames = signature.inputs.map(({ name }) => name)
  const outputNames = signature.outputs.map(({ name }) => name)
  return guard<Outputs | undefined>({
    signature,
    // Loops, since pairs and callbacks for each tensor would cost a model of 10 µs several percent of its run.
    run(inputs) {
      if (mayBeEmpty && hasNoRows(inputNames, inputs)) return NOTHING
      const feeds: Record<string, T> = {}
      // The inputs fit the signature, in which no bfloat16 is.
      for (const name of inputNames) feeds[name] = tensor(inputs[name] as OrtFeed)
      return native.run(feeds)
    },
    answer(outputs) {
      if (outputs === undefined) return withoutRows(signature)
      const answer: Record<string, Tensor> = {}
      for (const name of outputNames) answer[name] = tensorOf(outputs[name] as OrtTensor)
      return answer
    },
    release: () => native.release(),
  })
}

type Outputs = Readonly<Record<string, OrtTensor>>

const NOTHING = Promise.resolve(undefined)

function specOf({ name, isTensor, type, shape = [] }: OrtMetadata): TensorSpec {
  // Setting it on an object sets no key: ONNX Runtime's packages would lose it.
  if (name === '__proto__') throw errors.MODEL_INVALID({ reason: `"${name}" cannot be the name of an input or output` })
  if (!isTensor)
    throw errors.MODEL_INVALID({
      reason: `"${name}" is a sequence, map or optional, not a tensor (scikit-learn's exporters write one, unless told \`zipmap: False\`)`,
    })
  if (UNSUPPORTED.has(type)) throw errors.MODEL_INVALID({ reason: `"${name}" holds ${type}` })
  return { name, dtype: type as DataType, shape: shape.map(sizeOf) }
}

/** A size that has no name is -1 to ONNX Runtime, which its build for WebAssembly reads without a sign. */
const sizeOf = (size: number | string): number | null =>
  typeof size === 'number' && size >= 0 && size < 2 ** 31 ? size : null

function tensorOf({ type, dims, data }: OrtTensor): Tensor {
  // Where JavaScript has Float16Array the library answers with it; our tensors hold the same bits as Uint16Array.
  const array =
    type === 'float16' && ArrayBuffer.isView(data) && !(data instanceof Uint16Array)
      ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / Uint16Array.BYTES_PER_ELEMENT)
      : data
  return { dtype: type, shape: dims, data: array } as Tensor
}
