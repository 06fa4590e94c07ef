import { canonicalJson, sha256Hex } from '../nouns/sha256.js'
import type { ProfileSchema } from './schema.js'

/** The name of a schema: sha256 of its canonical JSON. Profiles of equal digests can be merged and compared. */
export function profileDigest(schema: ProfileSchema): string {
  return sha256Hex(canonicalJson(schema))
}
