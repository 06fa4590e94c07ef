import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { errors as core } from '@tideway/core'
import { errors } from '../errors.js'

/** Reads one field; false where it has another wire type than its own, so that it is skipped like an unknown one. */
export type ReadField = (reader: BinaryReader, wire: WireType) => boolean

/**
 * Records of one message, values of tensors apart: two bytes of a message can make an object of two hundred, so that 32 MiB
 * could take all memory if each were kept.
 */
const MAX_RECORDS = 65_536

/** Counts the records of one message from outside. */
export class Records {
  #left = MAX_RECORDS

  /** Throws `INPUT_REJECTED`. */
  count(): void {
    if (this.#left-- <= 0) {
      const issues = [`(root): has more than ${MAX_RECORDS} fields, values of tensors apart`]
      throw core.INPUT_REJECTED({ what: 'the inference request', issues })
    }
  }
}

/** Reads the records of one message in their order. Throws what `BinaryReader` does for bytes that are none. */
export function readFields(bytes: Uint8Array, fields: Readonly<Record<number, ReadField>>, records?: Records): void {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    records?.count()
    const [number, wire] = reader.tag()
    if (!fields[number]?.(reader, wire)) reader.skip(wire, number)
  }
}

/** A field of text, which must be UTF-8. */
export function text(take: (value: string) => void): ReadField {
  return (reader, wire) => {
    if (wire !== WireType.LengthDelimited) return false
    take(reader.string(true))
    return true
  }
}

/** A field of bytes, or of another message: a view of those that are read. */
export function bytes(take: (value: Uint8Array) => void): ReadField {
  return (reader, wire) => {
    if (wire !== WireType.LengthDelimited) return false
    take(reader.bytes())
    return true
  }
}

/** A field of one number. */
export function single<T>(own: WireType, read: (reader: BinaryReader) => T, take: (value: T) => void): ReadField {
  return (reader, wire) => {
    if (wire !== own) return false
    take(read(reader))
    return true
  }
}

/** What `read` makes of a message's bytes; throws `GRPC_MESSAGE_INVALID` where they are none of its type. */
export function reading<T>(what: string, message: Uint8Array, read: (bytes: Uint8Array) => T): T {
  // A view of its own: slices of Node's Buffer are no copies, those of its class are.
  const plain = new Uint8Array(message.buffer, message.byteOffset, message.byteLength)
  try {
    return read(plain)
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'TidewayError') throw cause
    const reason = cause instanceof Error ? cause.message.slice(0, 200) : String(cause)
    throw errors.GRPC_MESSAGE_INVALID({ what, bytes: message.byteLength, reason }, cause)
  }
}
