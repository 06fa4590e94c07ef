import type { MessageInitShape } from '@bufbuild/protobuf'
import { datatypeOf, encodeBinary, type Tensors } from '@tideway/core'
import { everyType } from '@tideway/test/support/onnx-models'
import type { ModelInferRequestSchema } from './generated/inference_pb.js'

export type RequestInit = MessageInitShape<typeof ModelInferRequestSchema>

/** A request for the model `echo` with these inputs in raw contents. */
export function rawRequest(tensors: Tensors, more: Partial<Omit<RequestInit, '$typeName'>> = {}): RequestInit {
  const inputs = Object.entries(tensors)
  return {
    modelName: 'echo',
    inputs: inputs.map(([name, { dtype, shape }]) => ({ name, datatype: datatypeOf(dtype), shape: shape.map(BigInt) })),
    rawInputContents: inputs.map(([, tensor]) => encodeBinary(tensor)),
    ...more,
  }
}

/** One of FP32. */
export function floats(...values: number[]): Tensors[string] {
  return { dtype: 'float32', shape: [values.length], data: Float32Array.from(values) }
}

/** One tensor of each element type with the ends of its range, a scalar and an empty one. */
export const everyTensor: Tensors = {
  ...everyType,
  bfloat16: { dtype: 'bfloat16', shape: [3], data: Uint16Array.of(0x3f80, 0xff7f, 0x7fc0) },
  'float32 without order': { dtype: 'float32', shape: [3], data: Float32Array.of(Number.NaN, Infinity, -Infinity) },
  scalar: { dtype: 'float64', shape: [], data: Float64Array.of(7) },
  empty: { dtype: 'int64', shape: [0, 3], data: new BigInt64Array(0) },
}
