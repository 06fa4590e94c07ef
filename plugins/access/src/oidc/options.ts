import { accessRoles, isLoopback } from '@tideway/core'
import { z } from 'zod'

/** Signatures that the issuer alone can make (RFC 7518, section 3.1; RFC 8037): a shared secret would let every verifier sign. */
export const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const

/** Over plain HTTP anybody on the way could give keys of their own. */
const secureUrl = z.url().refine((text) => {
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
}, 'must be an https URL (http on loopback only)')

export const oidcSchema = z.strictObject({
  /** As tokens name it in `iss`, to the letter. */
  issuer: secureUrl,
  /** What tokens must name in `aud`: this cloud, not another application of the same issuer. */
  audience: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).readonly()]),
  /** Default: as the issuer says at `/.well-known/openid-configuration`. */
  jwksUrl: secureUrl.optional(),
  algorithms: z.array(z.enum(algorithms)).min(1).readonly().default(algorithms),
  /** Where the roles are: a claim of that name, or a path with dots (`realm_access.roles`), or one as a list. */
  rolesClaim: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).readonly()]).default('roles'),
  /** From the issuer's names to ours; without it they are the same. What is not in it gives no role. */
  roleMap: z.record(z.string(), z.array(z.enum(accessRoles)).readonly()).optional(),
  /** Where the models are that a token is restricted to; without it tokens are for all. */
  modelsClaim: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).readonly()]).optional(),
  clockToleranceSeconds: z.int().min(0).max(300).default(30),
})

export type OidcOptions = z.output<typeof oidcSchema>
