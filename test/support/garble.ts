/** Sixteen bytes that are found in no other place of random content. */
const NEEDLE_BYTES = 16

/**
 * Changes one byte wherever a piece of traffic holds some part of this content: for a proxy, whose pieces begin and end
 * anywhere.
 */
export function garbler(content: Uint8Array): (piece: Buffer) => Buffer {
  const places = [0.2, 0.4, 0.6, 0.8].map((part) => Math.floor(part * content.byteLength))
  const needles = places.map((at) => Buffer.from(content.subarray(at, at + NEEDLE_BYTES)))
  return (piece) => {
    for (const needle of needles) {
      const at = piece.indexOf(needle)
      if (at >= 0) piece[at] = piece[at]! ^ 0xff
    }
    return piece
  }
}
