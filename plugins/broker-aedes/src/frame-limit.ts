/** What a frame counter says of the bytes seen so far: the size of the first packet over the limit, if any. */
export type FrameCounter = (bytes: Uint8Array) => number | undefined

/**
 * Follows MQTT packets through a byte stream by their fixed headers (MQTT 3.1.1, section 2.2: one type byte, then the
 * remaining length in up to four bytes of seven bits) and answers the size of the first packet larger than `maxBytes`
 * as soon as its header is there. The parser behind it collects a whole packet in memory before anyone may refuse it.
 */
export function frameCounter(maxBytes: number): FrameCounter {
  let bodyLeft = 0
  let headerBytes = 0
  let length = 0
  return (bytes) => {
    let at = 0
    while (at < bytes.length) {
      if (bodyLeft > 0) {
        const step = Math.min(bodyLeft, bytes.length - at)
        bodyLeft -= step
        at += step
        continue
      }
      const byte = bytes[at]!
      at += 1
      headerBytes += 1
      if (headerBytes === 1) continue
      length += (byte & 0x7f) * 128 ** (headerBytes - 2)
      // A fifth length byte is malformed; the parser refuses it.
      if ((byte & 0x80) !== 0 && headerBytes < 5) continue
      const total = headerBytes + length
      if (total > maxBytes) return total
      bodyLeft = length
      headerBytes = 0
      length = 0
    }
    return undefined
  }
}
