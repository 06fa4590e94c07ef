import { errors, parseJson } from '@tideway/core'
import { z } from 'zod'

const TIMEOUT_MS = 5_000
const MAX_BYTES = 256 * 1024
const metadata = z.looseObject({ issuer: z.string(), jwks_uri: z.url() })

/**
 * Where an issuer's keys are (OpenID Connect Discovery 1.0, section 4). The issuer that the document names must be the one
 * that was asked for, to the letter (4.3). Throws `ISSUER_UNAVAILABLE`.
 */
export async function discoverJwks(issuer: string): Promise<URL> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const fail = (reason: string, cause?: unknown) => errors.ISSUER_UNAVAILABLE({ issuer, reason }, cause)
  let bytes: Uint8Array
  try {
    const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) })
    if (!response.ok) throw fail(`discovery answered ${response.status}`)
    bytes = await limited(response)
  } catch (cause) {
    throw cause instanceof Error && cause.name === 'TidewayError' ? cause : fail('discovery did not answer', cause)
  }
  let found: z.output<typeof metadata>
  try {
    found = parseJson(metadata, bytes, 'the configuration of the issuer', MAX_BYTES)
  } catch (cause) {
    throw fail('its discovery document is not valid', cause)
  }
  if (found.issuer !== issuer) throw fail(`its discovery document is of ${found.issuer.slice(0, 200)}`)
  return new URL(found.jwks_uri)
}

async function limited(response: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.byteLength
    if (bytes > MAX_BYTES)
      throw errors.TOO_LARGE({ what: 'the configuration of the issuer', bytes, maxBytes: MAX_BYTES })
    parts.push(part)
  }
  return Buffer.concat(parts)
}
