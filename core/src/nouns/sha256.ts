import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'

/** Lower-case hexadecimal SHA-256 of bytes, or of a text's UTF-8; synchronous, the same in Node and in browsers. */
export function sha256Hex(content: Uint8Array | string): string {
  return bytesToHex(sha256(typeof content === 'string' ? new TextEncoder().encode(content) : content))
}

/**
 * One text for equal JSON values: object keys sorted by UTF-16 code unit, no white space, `undefined` members left out.
 * Numbers and strings as `JSON.stringify` writes them, which is what RFC 8785 asks for.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (item === null || typeof item !== 'object' || Array.isArray(item)) return item
    const sorted: [string, unknown][] = Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1))
    return Object.fromEntries(sorted)
  })
}
