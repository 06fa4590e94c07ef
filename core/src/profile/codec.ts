import { errors } from '../errors.js'
import { type Bins, MAX_LEVEL } from './bins.js'

/** First byte of an encoded sketch. */
const FORMAT = 1
const HEADER_BYTES = 10
const MAX_AT = 2 ** 21
/** Holds 2^53. */
const MAX_VARINT_BYTES = 8

/**
 * base64 of: format (1 byte), level (1 byte), accuracy (float64, little-endian), then for each bin, ascending, the
 * distance from the bin before it (from -2^21 for the first) and its count, as LEB128 varints. About 2 bytes a bin,
 * where the protobuf of DDSketch takes 8 for every bin between the least and the largest, used or not.
 */
export function encodeBins(bins: Bins): string {
  const size = bins.at.length
  const bytes = new Uint8Array(HEADER_BYTES + size * 2 * MAX_VARINT_BYTES)
  bytes[0] = FORMAT
  bytes[1] = bins.level
  new DataView(bytes.buffer).setFloat64(2, bins.accuracy, true)
  let end = HEADER_BYTES
  let before = -MAX_AT
  for (let i = 0; i < size; i++) {
    const at = bins.at[i] as number
    end = writeVarint(bytes, end, at - before)
    end = writeVarint(bytes, end, bins.counts[i] as number)
    before = at
  }
  let text = ''
  for (let i = 0; i < end; i++) text += String.fromCharCode(bytes[i] as number)
  return btoa(text)
}

/** Reads what `encodeBins` wrote. Throws `PROFILE_INVALID` for anything else: sketches come from outside. */
export function decodeBins(text: string, what = 'sketch'): Bins {
  const fail = (reason: string, cause?: unknown) => errors.PROFILE_INVALID({ what, reason }, cause)
  const bytes = fromBase64(text, fail)
  if (bytes.length < HEADER_BYTES) throw fail('it is shorter than its header')
  if (bytes[0] !== FORMAT) throw fail(`format ${bytes[0]} is not known`)
  const level = bytes[1] as number
  if (level > MAX_LEVEL) throw fail(`level ${level} is above ${MAX_LEVEL}`)
  const accuracy = new DataView(bytes.buffer, bytes.byteOffset).getFloat64(2, true)
  if (!(accuracy > 0 && accuracy < 1)) throw fail('its accuracy is not between 0 and 1')
  // At least two bytes a bin.
  const at = new Int32Array((bytes.length - HEADER_BYTES) >> 1)
  const counts = new Float64Array(at.length)
  const input: Input = { bytes, offset: HEADER_BYTES, fail }
  let size = 0
  for (let before = -MAX_AT; input.offset < bytes.length; size++) {
    const step = readVarint(input)
    const count = readVarint(input)
    before += step
    if (step === 0 || before > MAX_AT) throw fail('its bins are not ascending within range')
    if (count === 0) throw fail('it has an empty bin')
    at[size] = before
    counts[size] = count
  }
  return { accuracy, level, at: at.slice(0, size), counts: counts.slice(0, size) }
}

type Fail = (reason: string, cause?: unknown) => Error

interface Input {
  readonly bytes: Uint8Array
  offset: number
  readonly fail: Fail
}

function fromBase64(text: string, fail: Fail): Uint8Array {
  let binary: string
  try {
    binary = atob(text)
  } catch (cause) {
    throw fail('it is not base64', cause)
  }
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}

function readVarint(input: Input): number {
  const end = Math.min(input.bytes.length, input.offset + MAX_VARINT_BYTES)
  let value = 0
  let scale = 1
  while (input.offset < end) {
    const byte = input.bytes[input.offset++] as number
    value += (byte % 128) * scale
    if (!Number.isSafeInteger(value)) throw input.fail('it has a number above 2^53')
    if (byte < 128) return value
    scale *= 128
  }
  throw input.fail('it ends inside a number')
}

/** Arithmetic, not shifts: counts may pass 2^32. */
function writeVarint(bytes: Uint8Array, start: number, value: number): number {
  let rest = value
  let at = start
  while (rest >= 128) {
    bytes[at++] = (rest % 128) + 128
    rest = Math.floor(rest / 128)
  }
  bytes[at++] = rest
  return at
}
