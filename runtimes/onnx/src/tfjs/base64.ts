/** A multiple of three, so that no padding stands inside, and few enough arguments for a call. */
const SLICE = 0x6000

/** Bytes in base64 (RFC 4648), in Node and in browsers. */
export function encodeBase64(bytes: Uint8Array): string {
  const parts: string[] = []
  for (let at = 0; at < bytes.length; at += SLICE)
    parts.push(btoa(String.fromCharCode(...bytes.subarray(at, at + SLICE))))
  return parts.join('')
}
