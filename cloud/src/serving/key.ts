import { createHash } from 'node:crypto'
import type { Tensor, Tensors } from '@tideway/core'

/**
 * The name of a request's answer: SHA-256 over the digest of the version and over the inputs, in the order of their names. No
 * two requests that a model could tell apart have the same bytes here: what stands before the values says how many there are,
 * each string has its length before it, and values count by their bits (-0 is not 0, one NaN is not another).
 *
 * @example
 * requestKey(version.manifestDigest, { x: { dtype: 'float32', shape: [1, 4], data } })
 */
export function requestKey(manifestDigest: string, inputs: Tensors): string {
  const names = Object.keys(inputs).sort()
  const tensors = names.map((name) => inputs[name] as Tensor)
  const described = tensors.map(({ dtype, shape }, at) => [names[at], dtype, shape])
  const hash = createHash('sha256').update(JSON.stringify([manifestDigest, described]))
  for (const tensor of tensors) {
    if (tensor.dtype !== 'string') hash.update(bytesOf(tensor.data))
    else for (const text of tensor.data) hash.update(`${text.length}:`).update(text, 'utf16le')
  }
  return hash.digest('base64')
}

/** Bytes that tensors take in memory, about: strings have two a character and some more each. */
export function bytesIn(tensors: Tensors): number {
  let bytes = 0
  for (const { dtype, data } of Object.values(tensors)) {
    if (dtype !== 'string') bytes += data.byteLength
    else for (const text of data) bytes += STRING_BYTES + 2 * text.length
  }
  return bytes
}

const STRING_BYTES = 24

function bytesOf(data: Exclude<Tensor['data'], string[]>): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
