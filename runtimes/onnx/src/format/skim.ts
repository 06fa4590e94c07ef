import type { DescMessage } from '@bufbuild/protobuf'
import { errors } from '@tideway/core'
import { ModelSchema } from '../generated/onnx_pb.js'

/** What reading a model may cost, whatever its bytes say. */
export interface ReadLimits {
  /**
   * Encoded fields, all messages together. Each becomes a JavaScript object of about 200 bytes at most, so the
   * default bounds reading to about 800 MB besides the bytes; a 1,000-layer network has about 100,000.
   */
  readonly maxFields: number
  /** Nested messages: graphs in attributes of nodes of graphs, and so on. */
  readonly maxDepth: number
}

export const DEFAULT_READ_LIMITS: ReadLimits = Object.freeze({ maxFields: 4_000_000, maxDepth: 64 })

const VARINT = 0
const BIT64 = 1
const LENGTH = 2
const BIT32 = 5

/**
 * Walks the wire format without building anything: every length lies inside its parent, nothing is truncated, fields
 * and depth stay within limits. Decoding afterwards cannot run away (a few bytes can ask for millions of objects).
 *
 * Throws `MODEL_INVALID`.
 */
export function skim(
  bytes: Uint8Array,
  limits: ReadLimits = DEFAULT_READ_LIMITS,
  desc: DescMessage = ModelSchema,
): void {
  if (bytes.byteLength === 0) throw invalid('it is empty')
  const walker = new Walker(bytes, limits)
  walker.message(desc, 0, bytes.byteLength, 1)
}

class Walker {
  private fields = 0
  private at = 0

  constructor(
    private readonly bytes: Uint8Array,
    private readonly limits: ReadLimits,
  ) {}

  message(desc: DescMessage, begin: number, end: number, depth: number): void {
    if (depth > this.limits.maxDepth) throw invalid(`messages nest more than ${this.limits.maxDepth} deep`)
    const children = childrenOf(desc)
    this.at = begin
    while (this.at < end) {
      if (++this.fields > this.limits.maxFields) throw invalid(`it has more than ${this.limits.maxFields} fields`)
      const tag = this.varint(end)
      const number = Math.floor(tag / 8)
      const wire = tag % 8
      if (number < 1) throw this.broken('field number 0')
      const known = children.get(number)
      if (known !== undefined && known.wire !== undefined && !known.wire.includes(wire)) {
        throw this.broken(`field ${known.name} with wire type ${wire}`)
      }
      if (wire === VARINT) this.varint(end)
      else if (wire === BIT64) this.at += 8
      else if (wire === BIT32) this.at += 4
      else if (wire === LENGTH) this.payload(known, end, depth)
      else throw this.broken(`wire type ${wire}`)
      if (this.at > end) throw this.broken('a field longer than its message')
    }
  }

  private payload(known: Child | undefined, end: number, depth: number): void {
    const length = this.varint(end)
    const stop = this.at + length
    if (stop > end) throw this.broken(`a field of ${length} bytes where ${end - this.at} are left`)
    if (known?.message !== undefined) this.message(known.message, this.at, stop, depth + 1)
    else if (known?.packed === true) this.packed(stop)
    this.at = stop
  }

  /** A packed number becomes a JavaScript value of 8 to 32 bytes: eight encoded bytes count as one field. */
  private packed(stop: number): void {
    this.fields += Math.ceil((stop - this.at) / 8)
    if (this.fields > this.limits.maxFields) throw invalid(`it has more than ${this.limits.maxFields} fields`)
  }

  private varint(end: number): number {
    let value = 0
    let scale = 1
    for (let count = 0; count < 10; count++) {
      if (this.at >= end) throw this.broken('a number cut off')
      const byte = this.bytes[this.at++] ?? 0
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw this.broken('a number of more than 10 bytes')
  }

  private broken(what: string): Error {
    return invalid(`${what} at byte ${this.at} of ${this.bytes.byteLength}`)
  }
}

interface Child {
  readonly name: string
  readonly wire: readonly number[] | undefined
  readonly message: DescMessage | undefined
  readonly packed: boolean
}

const cache = new Map<DescMessage, ReadonlyMap<number, Child>>()

function childrenOf(desc: DescMessage): ReadonlyMap<number, Child> {
  const found = cache.get(desc)
  if (found !== undefined) return found
  const children = new Map<number, Child>()
  for (const field of desc.fields) {
    const packable = field.fieldKind === 'list' && field.listKind === 'scalar' && !isLength(field.scalar)
    const long = field.message !== undefined || (field.scalar !== undefined && isLength(field.scalar))
    const wire = long ? [LENGTH] : packable ? undefined : [field.scalar === FLOAT ? BIT32 : VARINT]
    children.set(field.number, { name: String(field), wire, message: field.message, packed: packable })
  }
  cache.set(desc, children)
  return children
}

// ScalarType: float 2, string 9, bytes 12. The other scalars in onnx.proto are int32 and int64.
const FLOAT = 2
const isLength = (scalar: number): boolean => scalar === 9 || scalar === 12

const invalid = (reason: string): Error => errors.MODEL_INVALID({ reason })
