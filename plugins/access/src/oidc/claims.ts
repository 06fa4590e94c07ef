import { type AccessRole, type Actor, accessRoles, errors } from '@tideway/core'
import type { OidcOptions } from './options.js'

type Claims = Readonly<Record<string, unknown>>
type Path = string | readonly string[]

/** Who a token that was verified speaks for. Throws `TOKEN_INVALID` for one that names nobody. */
export function actorOf(claims: Claims, options: Pick<OidcOptions, 'rolesClaim' | 'roleMap' | 'modelsClaim'>): Actor {
  // A token of a machine names its client where it has no subject (RFC 9068, section 2.2).
  const name = [claims.sub, claims.client_id, claims.azp].find((claim) => typeof claim === 'string' && claim !== '')
  if (typeof name !== 'string') throw errors.TOKEN_INVALID({ reason: 'claims' })
  const { rolesClaim, roleMap, modelsClaim } = options
  return Object.freeze({
    name: `oidc:${name.slice(0, 200)}`,
    roles: rolesOf(wordsAt(claims, rolesClaim), roleMap),
    // A token that should say which models it is for and does not is for none.
    ...(modelsClaim !== undefined && { models: wordsAt(claims, modelsClaim) }),
  })
}

function rolesOf(names: readonly string[], map: OidcOptions['roleMap']): AccessRole[] {
  const roles = map ? names.flatMap((name) => (Object.hasOwn(map, name) ? map[name]! : [])) : names
  return accessRoles.filter((role) => roles.includes(role))
}

/** A list of texts, or one text with spaces between words, as in `scope`. */
function wordsAt(claims: Claims, path: Path): string[] {
  const value = typeof path === 'string' ? (own(claims, path) ?? walk(claims, path.split('.'))) : walk(claims, path)
  if (typeof value === 'string') return value.split(' ').filter(Boolean)
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

function walk(claims: unknown, steps: readonly string[]): unknown {
  return steps.reduce<unknown>((at, step) => own(at, step), claims)
}

function own(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
}
