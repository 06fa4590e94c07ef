import { WireType } from '@bufbuild/protobuf/wire'
import { Contents } from './contents.js'
import { bytes, type ReadField, Records, readFields, single, text } from './reader.js'

/** Parameters by name: booleans, text, numbers, and bigints where a number would lose digits. */
export type Parameters = Readonly<Record<string, unknown>>

/** `ModelInferRequest.InferInputTensor` */
export interface WireInput {
  name: string
  datatype: string
  readonly shape: number[]
  parameters: Parameters
  readonly contents: Contents
}

/** `ModelInferRequest.InferRequestedOutputTensor` */
export interface WireOutput {
  name: string
  parameters: Parameters
}

/** `ModelInferRequest` as it was sent; nothing but its form is checked. Bytes are views of the message. */
export interface WireRequest {
  readonly model: string
  readonly version: string
  readonly id: string
  readonly parameters: Parameters
  readonly inputs: readonly WireInput[]
  readonly outputs: readonly WireOutput[]
  readonly raw: readonly Uint8Array[]
  /** Of the whole message. */
  readonly bytes: number
}

/** No tensor has as many; what comes behind is not kept. */
const MAX_SIZES = 64

/**
 * Reads a `ModelInferRequest` of proto/inference.proto. By hand, since every inference over gRPC goes through it: values go
 * into the arrays that hold their type without a JavaScript value each, and what takes more memory than it has bytes is
 * counted (`INPUT_REJECTED`). Throws what `BinaryReader` does for bytes that are no message.
 */
export function readRequest(message: Uint8Array): WireRequest {
  const records = new Records()
  const names = { model: '', version: '', id: '' }
  const parameters = new Map<string, unknown>()
  const inputs: WireInput[] = []
  const outputs: WireOutput[] = []
  const raw: Uint8Array[] = []
  readFields(
    message,
    {
      1: text((value) => (names.model = value)),
      2: text((value) => (names.version = value)),
      3: text((value) => (names.id = value)),
      4: entryOf(parameters, records),
      5: bytes((value) => inputs.push(readInput(value, records))),
      6: bytes((value) => outputs.push(readOutput(value, records))),
      7: bytes((value) => raw.push(value)),
    },
    records,
  )
  return { parameters: Object.fromEntries(parameters), inputs, outputs, raw, bytes: message.byteLength, ...names }
}

function readInput(message: Uint8Array, records: Records): WireInput {
  const input: WireInput = { name: '', datatype: '', shape: [], parameters: {}, contents: new Contents() }
  const parameters = new Map<string, unknown>()
  readFields(
    message,
    {
      1: text((value) => (input.name = value)),
      2: text((value) => (input.datatype = value)),
      3: sizesInto(input.shape),
      4: entryOf(parameters, records),
      5: bytes((value) => input.contents.read(value)),
    },
    records,
  )
  input.parameters = Object.fromEntries(parameters)
  return input
}

function readOutput(message: Uint8Array, records: Records): WireOutput {
  const output: WireOutput = { name: '', parameters: {} }
  const parameters = new Map<string, unknown>()
  readFields(message, { 1: text((value) => (output.name = value)), 2: entryOf(parameters, records) }, records)
  output.parameters = Object.fromEntries(parameters)
  return output
}

/** A shape, packed or one by one. Sizes that no number holds exactly are refused as any that no tensor has. */
function sizesInto(shape: number[]): ReadField {
  return (reader, wire) => {
    const isPacked = wire === WireType.LengthDelimited
    if (!isPacked && wire !== WireType.Varint) return false
    const end = isPacked ? reader.uint32() + reader.pos : reader.pos + 1
    if (end > reader.len) throw new RangeError('a shape ends behind its message')
    while (reader.pos < end) {
      const size = Number(reader.int64())
      if (shape.length < MAX_SIZES) shape.push(size)
    }
    return true
  }
}

/** One entry of a map of `InferParameter`. */
function entryOf(parameters: Map<string, unknown>, records: Records): ReadField {
  return bytes((entry) => {
    let key = ''
    let value: unknown
    const choice = (message: Uint8Array) =>
      readFields(
        message,
        {
          1: single(
            WireType.Varint,
            (reader) => reader.bool(),
            (given) => (value = given),
          ),
          2: single(
            WireType.Varint,
            (reader) => exact(reader.int64()),
            (given) => (value = given),
          ),
          3: text((given) => (value = given)),
          4: single(
            WireType.Bit64,
            (reader) => reader.double(),
            (given) => (value = given),
          ),
          5: single(
            WireType.Varint,
            (reader) => exact(reader.uint64()),
            (given) => (value = given),
          ),
        },
        records,
      )
    readFields(entry, { 1: text((given) => (key = given)), 2: bytes(choice) }, records)
    parameters.set(key, value)
  })
}

/** As a number where it loses nothing by it. */
function exact(value: bigint | string): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : BigInt(value)
}
