import { createHash } from 'node:crypto'

/** Lower-case hexadecimal SHA-256 of all parts in order. */
export function sha256Of(...parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}
