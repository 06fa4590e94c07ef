/**
 * Weights inside of a model.json: a file among `weightsManifest[].paths` is a data URL (RFC 2397). So a model is one blob
 * that is fetched, verified and replaced as a whole, and TensorFlow.js's own loader takes it, too, when it is told not to
 * look for weights beside it: `tf.loadLayersModel(url, { weightUrlConverter: async (path) => path })`.
 */
const PREFIX = 'data:application/octet-stream;base64,'
const DATA_URL = /^data:[^,]{0,100};base64,/
const NOT_BASE64 = /[^A-Za-z0-9+/]/

export function toDataUrl(bytes: Uint8Array): string {
  return PREFIX + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

export function isDataUrl(path: string): boolean {
  return DATA_URL.test(path)
}

/** Its bytes; undefined when what follows the comma is not base64. */
export function fromDataUrl(url: string): Uint8Array | undefined {
  const text = url.slice(url.indexOf(',') + 1)
  // Node leaves out what is not base64; then bytes would only seem to be missing.
  const end = text.search(NOT_BASE64)
  const isPadded = end === -1 || (end >= text.length - 2 && /^={1,2}$/.test(text.slice(end)))
  if (text.length % 4 !== 0 || !isPadded) return undefined
  return Buffer.from(text, 'base64')
}

export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.byteLength
  }
  return whole
}
