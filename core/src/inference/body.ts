import { ALIGNMENT } from './binary.js'

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
  const text = new TextEncoder().encode(json)
  const headerBytes = Math.ceil(text.byteLength / ALIGNMENT) * ALIGNMENT
  const size = parts.reduce((sum, { byteLength }) => sum + byteLength, headerBytes)
  const body = new Uint8Array(size).fill(0x20, text.byteLength, headerBytes)
  body.set(text)
  let at = headerBytes
  for (const part of parts) {
    body.set(part, at)
    at += part.byteLength
  }
  return { headerBytes, body }
}
