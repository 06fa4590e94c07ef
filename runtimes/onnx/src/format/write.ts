import { type DescMessage, type Message, toBinary } from '@bufbuild/protobuf'
import { errors } from '../errors.js'
import {
  AttributeSchema,
  FunctionSchema,
  GraphSchema,
  type Model,
  ModelSchema,
  NodeSchema,
  TensorDataSchema,
} from '../generated/onnx_pb.js'

/** Protobuf's limit for one message. */
export const MAX_MODEL_BYTES = 2 ** 31 - 1

/** Bytes fields from this size on go straight into the file, without passing through nested buffers. */
const LARGE_BYTES = 4096

/** The messages that may hold a large bytes field somewhere below, and through which of their fields. */
// biome-ignore format: a table
const NESTED = new Map<DescMessage, readonly (readonly [field: string, number: number, desc: DescMessage])[]>([
  [ModelSchema, [['graph', 7, GraphSchema], ['functions', 25, FunctionSchema]]],
  [GraphSchema, [['node', 1, NodeSchema], ['initializer', 5, TensorDataSchema]]],
  [FunctionSchema, [['node', 7, NodeSchema]]],
  [NodeSchema, [['attribute', 5, AttributeSchema]]],
  [
    AttributeSchema,
    [['t', 5, TensorDataSchema], ['g', 6, GraphSchema], ['tensors', 10, TensorDataSchema], ['graphs', 11, GraphSchema]],
  ],
  [TensorDataSchema, []],
])

/**
 * Writes a model as one ONNX file. The same model gives the same bytes. Each tensor's values are copied once, into the
 * result (a generic protobuf writer copies them at every level of nesting).
 *
 * Throws `MODEL_TOO_LARGE` above protobuf's limit of 2 GiB.
 */
export function writeModel(model: Model): Uint8Array {
  const pieces: Uint8Array[] = []
  const bytes = collect(ModelSchema, model, pieces)
  if (bytes > MAX_MODEL_BYTES) throw errors.MODEL_TOO_LARGE({ bytes, maxBytes: MAX_MODEL_BYTES })
  const file = new Uint8Array(bytes)
  let at = 0
  for (const piece of pieces) {
    file.set(piece, at)
    at += piece.byteLength
  }
  return file
}

/** Appends the pieces of a message, in order, and returns their length in bytes. */
function collect(desc: DescMessage, message: Message, pieces: Uint8Array[]): number {
  const nested = NESTED.get(desc) ?? []
  const own: Record<string, unknown> = { ...message }
  const later: { readonly number: number; readonly desc: DescMessage; readonly value: Message }[] = []
  for (const [field, number, child] of nested) {
    const value = own[field]
    const list = Array.isArray(value) ? (value as Message[]) : value === undefined ? [] : [value as Message]
    for (const item of list) later.push({ number, desc: child, value: item })
    own[field] = Array.isArray(value) ? [] : undefined
  }
  const raw = own['rawData']
  const large = raw instanceof Uint8Array && raw.byteLength >= LARGE_BYTES ? raw : undefined
  if (large !== undefined) own['rawData'] = undefined
  const head = toBinary(desc, own as unknown as Message)
  pieces.push(head)
  let bytes = head.byteLength
  if (large !== undefined) {
    const prefix = lengthPrefix(9, large.byteLength)
    pieces.push(prefix, large)
    bytes += prefix.byteLength + large.byteLength
  }
  for (const item of later) {
    const slot = pieces.push(head) - 1
    const length = collect(item.desc, item.value, pieces)
    const prefix = lengthPrefix(item.number, length)
    pieces[slot] = prefix
    bytes += prefix.byteLength + length
  }
  return bytes
}

/** The tag of a length-delimited field and its length, as varints. */
function lengthPrefix(field: number, length: number): Uint8Array {
  const bytes: number[] = []
  for (let value of [field * 8 + 2, length]) {
    while (value >= 0x80) {
      bytes.push((value % 0x80) | 0x80)
      value = Math.floor(value / 0x80)
    }
    bytes.push(value)
  }
  return Uint8Array.from(bytes)
}
