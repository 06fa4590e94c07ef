import { arrayClasses, type DataType, elementCount, type Tensor } from '../contracts/tensor.js'
import { datatypeOf } from './datatypes.js'
import type { Issues } from './issues.js'

/** Views of up to 8 bytes a value begin where this divides. */
export const ALIGNMENT = 8

/** Bytes of the length before each element of BYTES. */
export const LENGTH_BYTES = 4

/** JavaScript strings are well formed when none of their halves stands alone. */
export const LONE_SURROGATE = /\p{Surrogate}/u

/** The bytes after the JSON of a request or answer, taken tensor by tensor. */
export interface BinaryReader {
  /** The next `size` bytes; undefined, and all that are left taken, where there are fewer. */
  take(size: number): Uint8Array | undefined
  readonly left: number
}

export function binaryReader(bytes: Uint8Array, from = 0): BinaryReader {
  return new Reader(bytes, from)
}

class Reader implements BinaryReader {
  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
  ) {}

  take(size: number): Uint8Array | undefined {
    const { bytes, at, left } = this
    this.at = size <= left ? at + size : bytes.byteLength
    // A plain view: one of a Buffer is a Buffer, which is dearer to make.
    return size <= left ? new Uint8Array(bytes.buffer, bytes.byteOffset + at, size) : undefined
  }

  get left(): number {
    return this.bytes.byteLength - this.at
  }
}

/**
 * The values of a tensor in binary (Triton, docs/protocol/extension_binary_data.md: little-endian, row-major, no padding;
 * BOOL a byte of 0 or 1; BYTES 4 bytes of length before each element). A view of the bytes where their place is aligned
 * for the type, else one copy. BYTES are text here, so they must be UTF-8. Undefined if something went to `issues`.
 */
export function decodeBinary(
  dtype: DataType,
  shape: readonly number[],
  bytes: Uint8Array,
  at: string,
  issues: Issues,
): Tensor['data'] | undefined {
  const count = elementCount(shape)
  if (dtype === 'string') return decodeStrings(bytes, count, at, issues)
  const array = arrayClasses[dtype]
  const needed = count * array.BYTES_PER_ELEMENT
  if (bytes.byteLength !== needed) {
    const needs = `${datatypeOf(dtype)} of shape [${shape.join(', ')}] needs ${needed}`
    issues.add(`${at}: is ${bytes.byteLength}, ${needs}`)
    return undefined
  }
  if (dtype === 'bool' && !areBooleans(bytes, at, issues)) return undefined
  const aligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0
  return aligned ? new array(bytes.buffer, bytes.byteOffset, count) : new array(bytes.slice().buffer)
}

/** The bytes of a tensor in binary, of numbers without a copy. */
export function encodeBinary({ dtype, data }: Tensor): Uint8Array {
  if (dtype !== 'string') return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const encoder = new TextEncoder()
  const elements = data.map((text) => encoder.encode(text))
  const size = elements.reduce((sum, { byteLength }) => sum + LENGTH_BYTES + byteLength, 0)
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const element of elements) {
    view.setUint32(at, element.byteLength, true)
    bytes.set(element, at + LENGTH_BYTES)
    at += LENGTH_BYTES + element.byteLength
  }
  return bytes
}

function areBooleans(bytes: Uint8Array, at: string, issues: Issues): boolean {
  const odd = bytes.findIndex((byte) => byte > 1)
  if (odd >= 0) issues.add(`${at}: byte ${odd} is ${bytes[odd]}, BOOL has 0 and 1`)
  return odd < 0
}

function decodeStrings(bytes: Uint8Array, count: number, at: string, issues: Issues): string[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const values: string[] = []
  let from = 0
  while (from < bytes.byteLength) {
    const begin = from + LENGTH_BYTES
    const end = begin > bytes.byteLength ? begin : begin + view.getUint32(from, true)
    if (end > bytes.byteLength) {
      issues.add(`${at}: element ${values.length} ends ${end - bytes.byteLength} bytes behind the tensor`)
      return undefined
    }
    try {
      values.push(decoder.decode(bytes.subarray(begin, end)))
    } catch {
      issues.add(`${at}: element ${values.length} is not UTF-8`)
      return undefined
    }
    from = end
  }
  if (values.length === count) return values
  issues.add(`${at}: has ${values.length} elements, its shape needs ${count}`)
  return undefined
}
