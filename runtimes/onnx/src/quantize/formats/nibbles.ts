/**
 * 4-bit integers, two a byte, the first in the low half (https://onnx.ai/onnx/technical/int4.html). Signed ones are in
 * two's complement; only the low 4 bits of a value count. An odd count leaves the last high half 0.
 */
export function packNibbles(values: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(values.length / 2))
  for (let i = 0; i < values.length; i++) {
    const nibble = (values[i] ?? 0) & 0xf
    bytes[i >> 1] = (bytes[i >> 1] ?? 0) | (i % 2 === 0 ? nibble : nibble << 4)
  }
  return bytes
}

/** The first `count` values of packed bytes. */
export function unpackNibbles(bytes: Uint8Array, count: number, signed: boolean): Int8Array {
  return Int8Array.from({ length: count }, (_, i) => {
    const byte = bytes[i >> 1] ?? 0
    const nibble = i % 2 === 0 ? byte & 0xf : byte >> 4
    return signed && nibble > 7 ? nibble - 16 : nibble
  })
}
