import { hash, randomBytes, timingSafeEqual } from 'node:crypto'

const SECRET_BYTES = 32
const ID_BYTES = 8

/** `tw_<id>_<secret>`: a form that scanners for leaked secrets can know. */
const FORM = /^tw_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/

/** A key that was not there before, and what is kept of it. */
export function mintKey(): { key: string; id: string; secretSha256: string } {
  const id = randomBytes(ID_BYTES).toString('hex')
  const secret = randomBytes(SECRET_BYTES).toString('base64url')
  return { key: `tw_${id}_${secret}`, id, secretSha256: digestOf(secret).toString('hex') }
}

/** A key as somebody presents it. */
export interface PresentedKey {
  readonly id: string
  /** Of its secret. */
  readonly digest: Buffer
}

/** What a key of our form says, or undefined. */
export function presentedKey(key: string): PresentedKey | undefined {
  const [, id, secret] = FORM.exec(key) ?? []
  return id === undefined || secret === undefined ? undefined : { id, digest: digestOf(secret) }
}

/**
 * SHA-256, once and without salt: nobody can try 2^256 secrets, so a slow hash would only slow down every request. (NIST SP
 * 800-63B, section 5.1.2.2, asks for salt and a slow hash only of look-up secrets of less than 112 bits.)
 */
export function digestOf(secret: string): Buffer {
  // By way of text, which is faster than an object for each digest.
  return Buffer.from(hash('sha256', secret, 'base64'), 'base64')
}

/** In a time that does not tell how much of them is equal. */
export function sameDigest(a: Buffer, b: Buffer): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b)
}

/** The token of `Authorization: Bearer <token>` (RFC 6750, section 2.1), or undefined. */
export function bearerOf(authorization: string): string | undefined {
  return /^bearer +([\w.~+/=-]+) *$/i.exec(authorization)?.[1]
}
