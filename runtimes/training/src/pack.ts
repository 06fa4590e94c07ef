import { Packr } from 'msgpackr'
import { release } from './release.js'

const codec = new Packr({ useRecords: false, moreTypes: true })

/** What msgpackr writes before the elements of a Float32Array: its extension for typed arrays, and the type's number. */
const FLOAT32 = [0x74, 7] as const

export interface Packed {
  readonly bytes: Uint8Array
  /** Where in the bytes the elements of an array lie; at any offset, of 4 or not. */
  readonly placed: ReadonlyMap<Float32Array, Uint8Array>
}

/**
 * MessagePack of a record with Float32Arrays in it, as msgpackr reads it, in a buffer of just its size. What lies in
 * `spent` is freed as soon as it has been copied, so that of all arrays only the largest is ever there twice.
 */
export function pack(record: object, spent: Iterable<Float32Array> = []): Packed {
  const chunks = [...chunksOf(record)]
  // A buffer may hold several arrays: it is freed behind the last, and not at all if one of them is to stay.
  const left = new Map<ArrayBufferLike, Set<Float32Array>>()
  const going = new Set(spent)
  for (const chunk of chunks)
    if (chunk instanceof Float32Array) left.set(chunk.buffer, (left.get(chunk.buffer) ?? new Set()).add(chunk))
  const bytes = Buffer.allocUnsafeSlow(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0))
  const placed = new Map<Float32Array, Uint8Array>()
  let at = 0
  for (const chunk of chunks) {
    const { buffer, byteOffset, byteLength } = chunk
    const place = new Uint8Array(bytes.buffer, at, byteLength)
    place.set(new Uint8Array(buffer, byteOffset, byteLength))
    at += byteLength
    if (!(chunk instanceof Float32Array)) continue
    placed.set(chunk, place)
    const others = left.get(buffer)
    if (going.has(chunk) && others?.delete(chunk) && others.size === 0) release(chunk)
  }
  return { bytes: new Uint8Array(bytes.buffer), placed }
}

function* chunksOf(value: unknown): Generator<Uint8Array | Float32Array> {
  if (value instanceof Float32Array) {
    yield header(0xc9, value.byteLength + 1, ...FLOAT32)
    yield value
  } else if (typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)) {
    const entries = Object.entries(value)
    yield header(0xdf, entries.length)
    for (const [key, item] of entries) {
      yield codec.pack(key)
      yield* chunksOf(item)
    }
  } else {
    yield codec.pack(value)
  }
}

/** A format of the MessagePack specification that has a size of 32 bits (ext 32, map 32). */
function header(format: number, size: number, ...more: readonly number[]): Uint8Array {
  const bytes = Buffer.from([format, 0, 0, 0, 0, ...more])
  bytes.writeUInt32BE(size, 1)
  return bytes
}

/** Throws for bytes that are no MessagePack. */
export const unpack = (bytes: Uint8Array): unknown => codec.unpack(bytes)
