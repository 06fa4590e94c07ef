const SLAB_BYTES = 256 * 1024
/** Larger ones get memory of their own, so that none keeps much more than itself alive. */
const MAX_SHARED_BYTES = SLAB_BYTES / 8
/** Where a view of any type may begin. */
export const ALIGNMENT = 8

let slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
let used = 0

/**
 * So many bytes to be written, of which byte `at` lies where a view of any type may begin. Small ones are cut out of memory that
 * they share: V8 marks the whole heap for each 64 MiB of buffers that were made, and making one costs more than filling it.
 */
export function alignedBytes(bytes: number, at: number): Uint8Array<ArrayBuffer> {
  const offset = (ALIGNMENT - (at % ALIGNMENT)) % ALIGNMENT
  const size = offset + bytes
  if (size > MAX_SHARED_BYTES) return new Uint8Array(Buffer.allocUnsafeSlow(size).buffer, offset, bytes)
  if (used + size > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
    used = 0
  }
  const begin = used + offset
  used += Math.ceil(size / ALIGNMENT) * ALIGNMENT
  return new Uint8Array(slab.buffer, slab.byteOffset + begin, bytes)
}
