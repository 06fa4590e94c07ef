import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf'
import { errors } from '@tideway/core'
import { errors as onnxErrors } from '../errors.js'
import {
  type Attribute,
  type Graph,
  type Model,
  ModelSchema,
  type Node,
  type TensorData,
  TensorDataSchema,
} from '../generated/onnx_pb.js'
import { DEFAULT_READ_LIMITS, type ReadLimits, skim } from './skim.js'
import { ELEMENT_BITS, ELEMENT_TYPE } from './types.js'
import { typedToRaw } from './values.js'

/**
 * Reads an ONNX model (https://onnx.ai/onnx/repo-docs/IR.html). Tensors are views into `bytes`, which must not change
 * afterwards; typed value lists have become `rawData`; fields that this package does not know are kept and written again.
 *
 * Throws `MODEL_INVALID` for truncated, corrupt or inconsistent bytes, with memory bounded by `limits`;
 * `MODEL_EXTERNAL_DATA` for a model whose tensors lie in other files.
 *
 * @example
 * const model = readModel(await readFile('digits.onnx'))
 * console.log(model.graph?.node.map((node) => node.opType))
 */
export function readModel(bytes: Uint8Array, limits: ReadLimits = DEFAULT_READ_LIMITS): Model {
  const { model, external } = readParts(bytes, limits)
  if (external.length > 0) throw onnxErrors.MODEL_EXTERNAL_DATA({ tensors: external.map(({ name }) => name ?? '') })
  return model
}

/** A model, checked but for the tensors that it says lie in other files. */
export function readParts(
  bytes: Uint8Array,
  limits: ReadLimits,
): { readonly model: Model; readonly external: readonly TensorData[] } {
  skim(bytes, limits)
  const model = decode(ModelSchema, bytes)
  const problems: string[] = []
  const external: TensorData[] = []
  for (const tensor of tensorsOf(model)) {
    if (tensor.dataLocation === 1 || tensor.externalData.length > 0) external.push(tensor)
    else problems.push(...settle(tensor))
  }
  if (model.graph === undefined) problems.push('it has no graph')
  if (model.opsetImport.length === 0) problems.push('it imports no operator set')
  if (problems.length > 0) throw errors.MODEL_INVALID({ reason: problems.slice(0, 20).join('; ') })
  return { model, external }
}

/**
 * Reads one TensorProto, as ONNX's test data has them in files of their own. Throws `MODEL_INVALID`, and
 * `MODEL_EXTERNAL_DATA` for one whose values lie elsewhere.
 */
export function readTensor(bytes: Uint8Array, limits: ReadLimits = DEFAULT_READ_LIMITS): TensorData {
  skim(bytes, limits, TensorDataSchema)
  const tensor = decode(TensorDataSchema, bytes)
  if (tensor.dataLocation === 1 || tensor.externalData.length > 0)
    throw onnxErrors.MODEL_EXTERNAL_DATA({ tensors: [tensor.name ?? ''] })
  const [problem] = settle(tensor)
  if (problem !== undefined) throw errors.MODEL_INVALID({ reason: problem })
  return tensor
}

function settle(tensor: TensorData): string[] {
  typedToRaw(tensor)
  const problem = problemOf(tensor)
  return problem === undefined ? [] : [problem]
}

function decode<D extends DescMessage>(desc: D, bytes: Uint8Array): MessageShape<D> {
  try {
    // A Buffer's subarray is a Buffer; a plain view keeps types the same for everyone.
    return fromBinary(desc, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch (cause) {
    throw errors.MODEL_INVALID({ reason: 'it is not an ONNX protobuf message' }, cause)
  }
}

/** Every tensor of a model: initializers and tensor attributes, in subgraphs and functions too. */
export function* tensorsOf(model: Model): Generator<TensorData> {
  if (model.graph !== undefined) yield* ofGraph(model.graph)
  for (const fn of model.functions) {
    yield* ofNodes(fn.node)
    for (const attribute of fn.attributeProto) yield* ofAttribute(attribute)
  }
}

function* ofGraph(graph: Graph): Generator<TensorData> {
  yield* graph.initializer
  yield* ofNodes(graph.node)
}

function* ofNodes(nodes: readonly Node[]): Generator<TensorData> {
  for (const node of nodes) for (const attribute of node.attribute) yield* ofAttribute(attribute)
}

function* ofAttribute(attribute: Attribute): Generator<TensorData> {
  if (attribute.t !== undefined) yield attribute.t
  yield* attribute.tensors
  if (attribute.g !== undefined) yield* ofGraph(attribute.g)
  for (const graph of attribute.graphs) yield* ofGraph(graph)
}

/** ONNX Runtime and every exporter stay far below. */
const MAX_RANK = 64

export function problemOf(tensor: TensorData): string | undefined {
  const name = `tensor "${tensor.name ?? ''}"`
  if (tensor.dims.length > MAX_RANK) return `${name} has ${tensor.dims.length} axes`
  let count = 1
  for (const size of tensor.dims) {
    if (size < 0n) return `${name} has a negative size`
    count *= Number(size)
  }
  if (!(count <= Number.MAX_SAFE_INTEGER)) return `${name} is larger than any file`
  if (tensor.dataType === ELEMENT_TYPE.string) {
    return tensor.stringData.length === count
      ? undefined
      : `${name} has ${tensor.stringData.length} strings, its shape says ${count}`
  }
  const bits = ELEMENT_BITS[tensor.dataType ?? 0]
  if (bits === undefined) return `${name} has element type ${tensor.dataType ?? 0}, which ONNX does not define`
  const expected = Math.ceil((count * bits) / 8)
  const actual = tensor.rawData?.byteLength ?? 0
  return actual === expected ? undefined : `${name} has ${actual} bytes of values, its shape says ${expected}`
}
