import { create } from '@bufbuild/protobuf'
import { errors, type Signature, type TensorSpec } from '@tideway/core'
import { type Model, type ValueInfo, ValueInfoSchema } from '../generated/onnx_pb.js'
import { graphOf } from './node.js'
import { dataTypeOf, ELEMENT_TYPE } from './types.js'

/**
 * What a model takes and gives. Inputs that are also initializers (old exporters list weights) are left out; named
 * dimensions are free (`null`). A tensor without a shape is refused: nothing could be checked against it.
 *
 * Throws `MODEL_INVALID` for inputs or outputs that are no tensors of a known type and rank.
 */
export function signatureOf(model: Model): Signature {
  const graph = graphOf(model)
  const weights = new Set(graph.initializer.map((tensor) => tensor.name))
  return {
    inputs: graph.input.filter((info) => !weights.has(info.name)).map((info) => specOf(info)),
    outputs: graph.output.map((info) => specOf(info)),
  }
}

/** A value's name, type and shape; throws `MODEL_INVALID` for what is no tensor of a known type and rank. */
export function specOf(info: ValueInfo): TensorSpec {
  const name = info.name ?? ''
  const type = info.type?.value
  const dtype = type?.case === 'tensorType' ? dataTypeOf(type.value.elemType) : undefined
  const shape = type?.case === 'tensorType' ? type.value.shape : undefined
  if (dtype === undefined)
    throw errors.MODEL_INVALID({ reason: `"${name}" is not a tensor of a type that Tideway knows` })
  if (shape === undefined) throw errors.MODEL_INVALID({ reason: `"${name}" has no shape` })
  return { name, dtype, shape: shape.dim.map(({ value }) => (value.case === 'dimValue' ? Number(value.value) : null)) }
}

/** The ONNX form of a spec. The first free dimension is called "batch", others by their place. */
export function valueInfo(spec: TensorSpec): ValueInfo {
  const dim = spec.shape.map((size, axis) => {
    const value =
      size === null
        ? { case: 'dimParam' as const, value: axis === 0 ? 'batch' : `${spec.name}_${axis}` }
        : { case: 'dimValue' as const, value: BigInt(size) }
    return { value }
  })
  const tensorType = { elemType: ELEMENT_TYPE[spec.dtype], shape: { dim } }
  return create(ValueInfoSchema, { name: spec.name, type: { value: { case: 'tensorType', value: tensorType } } })
}
