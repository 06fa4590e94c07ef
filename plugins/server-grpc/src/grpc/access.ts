import { createHash, timingSafeEqual } from 'node:crypto'
import { errors } from '@tideway/core'

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i

/** Methods that ask for no key, as the health of HTTP does not. */
const OPEN = new Set([
  '/inference.GRPCInferenceService/ServerLive',
  '/inference.GRPCInferenceService/ServerReady',
  '/grpc.health.v1.Health/Check',
  '/grpc.health.v1.Health/Watch',
])

/** Throws `CREDENTIALS_REQUIRED` for an address other than loopback without keys. */
export function checkAddress({ host, apiKeys }: { readonly host: string; readonly apiKeys: readonly string[] }): void {
  if (!LOOPBACK.test(host) && apiKeys.length === 0) throw errors.CREDENTIALS_REQUIRED({ host })
}

/** What is asked before a call is taken. */
export interface Knock {
  /** `/inference.GRPCInferenceService/ModelInfer` */
  readonly path: string
  readonly authorization: string | undefined
}

/** Who calls; throws `UNAUTHORIZED`. */
export type Admit = (knock: Knock) => string

/** Without keys everybody who reaches loopback; with keys a bearer key in the metadata, on everything but health. */
export function admission(apiKeys: readonly string[]): Admit {
  if (apiKeys.length === 0) return () => 'local'
  const keys = apiKeys.map((key) => ({ digest: digestOf(key), name: `key-${digestOf(key).toString('hex', 0, 4)}` }))
  return ({ path, authorization }) => {
    if (OPEN.has(path)) return 'anyone'
    const given = /^bearer (.+)$/i.exec(authorization ?? '')?.[1]
    const digest = digestOf(given ?? '')
    // Every key is compared, over digests of one length: the time taken says nothing about any key.
    const match = keys.filter((key) => timingSafeEqual(key.digest, digest))[0]
    if (!match) throw errors.UNAUTHORIZED({ given: given !== undefined })
    return match.name
  }
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
