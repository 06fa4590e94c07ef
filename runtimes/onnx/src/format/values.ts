import { errors } from '@tideway/core'
import type { TensorData } from '../generated/onnx_pb.js'
import { ELEMENT_BITS } from './types.js'

/** TensorProto's typed value lists; onnx.proto leaves them out, so they arrive as unknown fields. */
const FLOAT_DATA = 4
const INT32_DATA = 5
const INT64_DATA = 7
const DOUBLE_DATA = 10
const UINT64_DATA = 11
const TYPED = new Set([FLOAT_DATA, INT32_DATA, INT64_DATA, DOUBLE_DATA, UINT64_DATA])

const LENGTH = 2

/**
 * Moves a tensor's typed value lists into `raw_data`: little endian, the one form the rest of Tideway reads.
 * A packed list of floats or doubles already is that, byte for byte, so it becomes a view and nothing is copied.
 *
 * Throws `MODEL_INVALID` for values that do not fit the element type.
 */
export function typedToRaw(tensor: TensorData): void {
  const all = tensor.$unknown ?? []
  const typed = all.filter((field) => TYPED.has(field.no))
  if (typed.length === 0) return
  if (tensor.rawData !== undefined && tensor.rawData.byteLength > 0)
    throw bad(tensor, 'has values twice, typed and raw')
  const numbers = new Set(typed.map((field) => field.no))
  if (numbers.size > 1) throw bad(tensor, 'has typed values of several types')
  const payloads = typed.map((field) => (field.wireType === LENGTH ? afterLength(field.data) : field.data))
  const list = typed[0]?.no ?? 0
  tensor.rawData = list === FLOAT_DATA || list === DOUBLE_DATA ? joined(payloads) : fromVarints(tensor, payloads)
  const rest = all.filter((field) => !TYPED.has(field.no))
  if (rest.length > 0) tensor.$unknown = rest
  else delete tensor.$unknown
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1 && parts[0] !== undefined) return parts[0]
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}

function fromVarints(tensor: TensorData, parts: readonly Uint8Array[]): Uint8Array {
  let count = 0
  for (const part of parts) for (const byte of part) if (byte < 0x80) count++
  const bits = ELEMENT_BITS[tensor.dataType ?? 0]
  // Types below a byte keep one packed byte per int32 value.
  const width = bits === undefined || bits > 64 ? undefined : Math.max(8, bits)
  if (width === undefined) throw bad(tensor, `has integer values but element type ${tensor.dataType ?? 0}`)
  const raw = new Uint8Array((count * width) / 8)
  const view = new DataView(raw.buffer)
  let index = 0
  for (const part of parts) {
    let at = 0
    while (at < part.byteLength) {
      let low = 0
      let high = 0
      let shift = 0
      let byte: number
      do {
        byte = part[at++] ?? 0
        const bits = byte & 0x7f
        if (shift < 32) low |= bits << shift
        if (shift > 24) high |= shift < 32 ? bits >> (32 - shift) : bits << (shift - 32)
        shift += 7
      } while (byte >= 0x80 && at < part.byteLength)
      if (byte >= 0x80) throw bad(tensor, 'ends inside a value')
      store(view, index++, width, low, high)
    }
  }
  return raw
}

/** Two's complement: cutting a sign-extended number to its width keeps its value. */
function store(view: DataView, index: number, width: number, low: number, high: number): void {
  if (width === 8) view.setInt8(index, low)
  else if (width === 16) view.setInt16(index * 2, low, true)
  else if (width === 32) view.setInt32(index * 4, low, true)
  else {
    view.setInt32(index * 8, low, true)
    view.setInt32(index * 8 + 4, high, true)
  }
}

function afterLength(data: Uint8Array): Uint8Array {
  let at = 0
  while ((data[at] ?? 0) >= 0x80) at++
  return data.subarray(at + 1)
}

const bad = (tensor: TensorData, what: string): Error =>
  errors.MODEL_INVALID({ reason: `tensor "${tensor.name ?? ''}" ${what}` })
