import { errors } from '../errors.js'
import { ALIGNMENT } from './binary.js'

const encoder = new TextEncoder()
const NOT_ASCII = /[^\0-\x7f]/

/**
 * JSON with tensors in binary behind it. The JSON is padded with spaces, so that the tensors begin where a view of any type may,
 * and whoever reads them has no need to copy.
 */
export class BinaryBody {
  /** The JSON's length, for the header `Inference-Header-Content-Length`. */
  readonly headerBytes: number
  readonly byteLength: number
  /** Padded. It has as many characters as bytes where it is ASCII, as most is. */
  readonly json: string
  /** Views of the tensors' own memory. */
  readonly parts: readonly Uint8Array[]
  #body: Uint8Array<ArrayBuffer> | undefined

  /** `json`: padded, with so many bytes. */
  constructor({ json, bytes }: PaddedJson, parts: readonly Uint8Array[]) {
    let size = bytes
    for (const { byteLength } of parts) size += byteLength
    this.headerBytes = bytes
    this.byteLength = size
    this.json = json
    this.parts = parts
  }

  /** All of it in one piece, which is made once. */
  get body(): Uint8Array<ArrayBuffer> {
    return (this.#body ??= this.#joined())
  }

  #joined(): Uint8Array<ArrayBuffer> {
    const body = new Uint8Array(this.byteLength)
    encoder.encodeInto(this.json, body)
    let at = this.headerBytes
    for (const part of this.parts) {
      body.set(part, at)
      at += part.byteLength
    }
    return body
  }
}

/** JSON that ends where a view of any type may begin. */
export interface PaddedJson {
  readonly json: string
  readonly bytes: number
}

export function padded(json: string): PaddedJson {
  const bytes = NOT_ASCII.test(json) ? encoder.encode(json).byteLength : json.length
  const more = (ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT
  return { json: json + ' '.repeat(more), bytes: bytes + more }
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
