import { errors } from '../errors.js'
import { ALIGNMENT } from './binary.js'

const encoder = new TextEncoder()

/** JSON with tensors in binary behind it. */
export interface BinaryBody {
  /** The JSON's length, for the header `Inference-Header-Content-Length`. */
  readonly headerBytes: number
  readonly body: Uint8Array<ArrayBuffer>
}

/**
 * Puts binary tensors behind the JSON that announces them. The JSON is padded with spaces, so that the tensors begin where
 * a view of any type may, and whoever reads them has no need to copy.
 */
export function joinBinary(json: string, parts: readonly Uint8Array[]): BinaryBody {
  let size = 0
  for (const { byteLength } of parts) size += byteLength
  const padded = json.padEnd(Math.ceil(json.length / ALIGNMENT) * ALIGNMENT)
  let headerBytes = padded.length
  let body = new Uint8Array(headerBytes + size)
  const { read, written } = encoder.encodeInto(padded, body)
  // Most JSON has a byte for each character.
  if (read < padded.length || written > padded.length) {
    const text = encoder.encode(json)
    headerBytes = Math.ceil(text.byteLength / ALIGNMENT) * ALIGNMENT
    body = new Uint8Array(headerBytes + size).fill(0x20, text.byteLength, headerBytes)
    body.set(text)
  }
  let at = headerBytes
  for (const part of parts) {
    body.set(part, at)
    at += part.byteLength
  }
  return { headerBytes, body }
}

/**
 * Puts the parts of a body together, copied once, so that byte `at` of it lies where a view of any type may begin.
 *
 * @example
 * const request = decodeInferRequest(joinAligned(parts, headerBytes), headerBytes)
 */
export function joinAligned(parts: readonly Uint8Array[], at: number): Uint8Array<ArrayBuffer> {
  const size = parts.reduce((sum, { byteLength }) => sum + byteLength, 0)
  const offset = (ALIGNMENT - (at % ALIGNMENT)) % ALIGNMENT
  const bytes = new Uint8Array(new ArrayBuffer(offset + size), offset)
  let end = 0
  for (const part of parts) {
    bytes.set(part, end)
    end += part.byteLength
  }
  return bytes
}

/** The header of HTTP that tells the JSON's length. */
const HEADER = 'Inference-Header-Content-Length'

/** What `Inference-Header-Content-Length` says; undefined where it is not given. Throws `INPUT_REJECTED`. */
export function headerBytesOf(value: string | undefined): number | undefined {
  if (value === undefined || /^\d{1,15}$/.test(value)) return value === undefined ? undefined : Number(value)
  const issues = [`${HEADER}: must be a whole number of bytes from 0`]
  throw errors.INPUT_REJECTED({ what: 'the inference request', issues })
}
