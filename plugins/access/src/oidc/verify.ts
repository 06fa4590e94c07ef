import { errors, type TidewayError } from '@tideway/core'
import type { JWTPayload, JWTVerifyGetKey } from 'jose'
import { discoverJwks } from './discover.js'
import type { OidcOptions } from './options.js'

/** An unknown key is looked for at the issuer no more often than this; known ones are asked for anew after `CACHE_MS`. */
const COOLDOWN_MS = 10_000
const CACHE_MS = 600_000
const TIMEOUT_MS = 5_000
/** After a failure the issuer is left alone for so long, whoever asks. */
const FAILURE_MS = 2_000

export type Verify = (token: string) => Promise<JWTPayload>

/** Times are parameters for tests alone. */
export interface VerifyTimes {
  readonly cooldownMs?: number
  readonly failureMs?: number
}

/**
 * Verifies tokens of one issuer (RFC 7519; RFC 8725): signature by one of its keys and an allowed algorithm, issuer,
 * audience, expiry. Throws `TOKEN_EXPIRED`, `TOKEN_INVALID`, `ISSUER_UNAVAILABLE`.
 */
export function createVerify(
  options: OidcOptions,
  { cooldownMs = COOLDOWN_MS, failureMs = FAILURE_MS }: VerifyTimes = {},
): Verify {
  const { issuer, jwksUrl, clockToleranceSeconds } = options
  let keys: JWTVerifyGetKey | undefined
  let failed: { readonly error: TidewayError; readonly untilMs: number } | undefined
  const unavailable = (error: TidewayError): TidewayError => {
    failed = { error, untilMs: performance.now() + failureMs }
    return error
  }
  // Loaded where an issuer is configured only: a process without one starts without it.
  const loading = () => import('jose')

  async function keysOf(): Promise<JWTVerifyGetKey> {
    if (keys) return keys
    const { createRemoteJWKSet } = await loading()
    const url = jwksUrl === undefined ? await discoverJwks(issuer) : new URL(jwksUrl)
    keys ??= createRemoteJWKSet(url, {
      cooldownDuration: cooldownMs,
      cacheMaxAge: CACHE_MS,
      timeoutDuration: TIMEOUT_MS,
    })
    return keys
  }

  return async (token) => {
    if (failed && performance.now() < failed.untilMs) throw failed.error
    const { jwtVerify } = await loading()
    const found = await keysOf().catch((error: TidewayError) => {
      throw unavailable(error)
    })
    const rules = {
      issuer,
      audience: typeof options.audience === 'string' ? options.audience : [...options.audience],
      algorithms: [...options.algorithms],
      clockTolerance: clockToleranceSeconds,
      requiredClaims: ['exp'],
    }
    const verify = async (key: JWTVerifyGetKey | Parameters<typeof jwtVerify>[1]): Promise<JWTPayload> =>
      (await jwtVerify(token, key as JWTVerifyGetKey, rules)).payload
    try {
      return await verify(found).catch((error: unknown) => tryEach(error, verify))
    } catch (cause) {
      const error = coded(cause, issuer)
      throw error.code === 'ISSUER_UNAVAILABLE' ? unavailable(error) : error
    }
  }
}

/** A token that does not name its key, of an issuer that has several: each is tried. */
async function tryEach(error: unknown, verify: (key: CryptoKey) => Promise<JWTPayload>): Promise<JWTPayload> {
  if (codeIn(error) !== 'ERR_JWKS_MULTIPLE_MATCHING_KEYS') throw error
  for await (const key of error as AsyncIterable<CryptoKey>) {
    try {
      return await verify(key)
    } catch (failure) {
      if (codeIn(failure) !== 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED') throw failure
    }
  }
  throw errors.TOKEN_INVALID({ reason: 'signature' })
}

type Reason = Parameters<typeof errors.TOKEN_INVALID>[0]['reason']

const reasons: Readonly<Record<string, Reason>> = {
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'signature',
  ERR_JOSE_ALG_NOT_ALLOWED: 'algorithm',
  ERR_JOSE_NOT_SUPPORTED: 'algorithm',
  ERR_JWKS_NO_MATCHING_KEY: 'key',
  ERR_JWS_INVALID: 'form',
  ERR_JWT_INVALID: 'form',
}
const claimReasons: Readonly<Record<string, Reason>> = {
  iss: 'issuer',
  aud: 'audience',
  nbf: 'time',
  iat: 'time',
  exp: 'claims',
}

/** Why a token was refused, in words that say nothing of what is in it. */
function coded(cause: unknown, issuer: string): TidewayError {
  if (cause instanceof Error && cause.name === 'TidewayError') return cause as TidewayError
  const code = codeIn(cause)
  if (code === 'ERR_JWT_EXPIRED') return errors.TOKEN_EXPIRED({})
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED') {
    const { claim } = cause as { claim?: string }
    return errors.TOKEN_INVALID({ reason: claimReasons[claim ?? ''] ?? 'claims' })
  }
  const reason = reasons[code ?? '']
  if (reason) return errors.TOKEN_INVALID({ reason })
  // What is left is the way to its keys: a time-out, another answer than 200, a document of another form.
  return errors.ISSUER_UNAVAILABLE({ issuer, reason: code ?? 'its keys did not come' }, cause)
}

function codeIn(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
