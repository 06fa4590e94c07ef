import { arrayClasses, elementCount, type Signature, type Tensor, type TensorSpec } from '../contracts/tensor.js'
import { decodeBinary, LENGTH_BYTES } from './binary.js'
import { Issues, quoted } from './issues.js'
import type { InferRequest } from './request.js'

const WHAT = 'the raw inference request'
const FIELD = '(body)'

/**
 * A request whose whole body is the one input of a model (Triton, docs/protocol/extension_binary_data.md, "Raw Binary
 * Request"): the shape is told by the number of bytes, of which at most one dimension may be free besides the batch,
 * which is 1; BYTES are one element, without its length. All outputs are asked for in binary. Throws `INPUT_REJECTED`.
 */
export function decodeRawInput(bytes: Uint8Array, signature: Signature = { inputs: [], outputs: [] }): InferRequest {
  const issues = new Issues(WHAT)
  const [spec, ...more] = signature.inputs
  if (spec === undefined || more.length > 0) {
    issues.add(`${FIELD}: is for a model of one input, this one has ${signature.inputs.length}`)
    throw issues.error()
  }
  const shape = shapeOf(spec, bytes.byteLength)
  if (typeof shape === 'string') {
    issues.add(`${FIELD}: input ${quoted(spec.name)} ${shape}`)
    throw issues.error()
  }
  const data = decodeBinary(spec.dtype, shape, spec.dtype === 'string' ? withLength(bytes) : bytes, FIELD, issues)
  issues.throwIfAny()
  const inputs = Object.fromEntries([[spec.name, { dtype: spec.dtype, shape, data } as Tensor]])
  return { inputs, binaryOutputs: 'all', int64AsString: false, nonFiniteAsNull: false }
}

/** The one element of BYTES as tensors of them have it. */
function withLength(bytes: Uint8Array): Uint8Array {
  const element = new Uint8Array(LENGTH_BYTES + bytes.byteLength)
  new DataView(element.buffer).setUint32(0, bytes.byteLength, true)
  element.set(bytes, LENGTH_BYTES)
  return element
}

/** The shape that so many bytes have, or what is wrong with them. */
function shapeOf({ dtype, shape }: TensorSpec, byteLength: number): readonly number[] | string {
  const text = `[${shape.map((size) => size ?? -1).join(', ')}]`
  if (dtype === 'string') {
    const one = shape.map((size) => size ?? 1)
    return elementCount(one) === 1 ? one : `is BYTES of shape ${text}, a raw request carries one element`
  }
  const count = byteLength / arrayClasses[dtype].BYTES_PER_ELEMENT
  const free = shape.filter((size) => size === null).length
  // One free dimension may be any; of more the first is the batch.
  const known = shape.map((size, axis) => (size === null && free > 1 && axis === 0 ? 1 : size))
  if (known.filter((size) => size === null).length > 1) return `of shape ${text} may have many shapes of these bytes`
  const rest = elementCount(known.map((size) => size ?? 1))
  const whole = known.map((size) => size ?? count / rest)
  const fits = whole.every((size) => Number.isSafeInteger(size)) && elementCount(whole) === count
  return fits ? whole : `of shape ${text} is not made of ${byteLength} bytes`
}
