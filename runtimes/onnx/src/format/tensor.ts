import { create } from '@bufbuild/protobuf'
import { arrayClasses, errors as coreErrors, elementCount, type Tensor } from '@tideway/core'
import { errors } from '../errors.js'
import { type TensorData, TensorDataSchema } from '../generated/onnx_pb.js'
import { dataTypeOf, ELEMENT_TYPE } from './types.js'

/**
 * An ONNX tensor as core's `Tensor`: a view of the same bytes where they are aligned for the type, else a copy.
 * JavaScript engines are little endian on every platform that ONNX Runtime has binaries for, as `rawData` is.
 *
 * Throws `TENSOR_TYPE_UNSUPPORTED` (bfloat16, 8- and 4-bit floats, 4-bit integers, complex numbers).
 */
export function toTensor(data: TensorData): Tensor {
  const dtype = dataTypeOf(data.dataType)
  const tensor = data.name ?? ''
  if (dtype === undefined) throw errors.TENSOR_TYPE_UNSUPPORTED({ tensor, dataType: String(data.dataType ?? 0) })
  const shape = data.dims.map(Number)
  if (dtype === 'string') {
    const decoder = new TextDecoder()
    return { dtype, shape, data: data.stringData.map((bytes) => decoder.decode(bytes)) }
  }
  const make = arrayClasses[dtype]
  const count = elementCount(shape)
  let raw = data.rawData ?? new Uint8Array(0)
  if (raw.byteLength !== count * make.BYTES_PER_ELEMENT) {
    throw coreErrors.MODEL_INVALID({
      reason: `tensor "${tensor}" has ${raw.byteLength} bytes for shape [${shape.join(', ')}]`,
    })
  }
  if (raw.byteOffset % make.BYTES_PER_ELEMENT !== 0) raw = raw.slice()
  return { dtype, shape, data: new make(raw.buffer, raw.byteOffset, count) } as Tensor
}

/** Core's `Tensor` as an ONNX tensor whose `rawData` is a view of the same memory. */
export function fromTensor(name: string, tensor: Tensor): TensorData {
  const base = { name, dims: tensor.shape.map(BigInt), dataType: ELEMENT_TYPE[tensor.dtype] }
  if (tensor.dtype === 'string') {
    const encoder = new TextEncoder()
    return create(TensorDataSchema, { ...base, stringData: tensor.data.map((text) => encoder.encode(text)) })
  }
  const { buffer, byteOffset, byteLength } = tensor.data
  return create(TensorDataSchema, { ...base, rawData: new Uint8Array(buffer, byteOffset, byteLength) })
}
