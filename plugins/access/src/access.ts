import {
  type Access,
  type Actor,
  type Credentials,
  errors,
  isLoopback,
  type KeyStore,
  type Logger,
  localActor,
  silentLogger,
} from '@tideway/core'
import { ConfiguredKeys } from './keys/configured.js'
import { keysOf } from './keys/keys.js'
import { KeyRing } from './keys/ring.js'
import { bearerOf, type PresentedKey, presentedKey } from './keys/text.js'
import { Tokens } from './oidc/tokens.js'
import { createVerify } from './oidc/verify.js'
import type { AccessOptions } from './options.js'

export interface AccessParts {
  /** Without one there are the configured keys alone. */
  readonly keyStore?: KeyStore
  readonly logger?: Logger
}

interface Presented {
  readonly token: string
  /** Where it has the form of one. */
  readonly key: PresentedKey | undefined
}

/** Keys of the configuration and of the store, and tokens of an issuer. */
export interface OpenedAccess extends Access {
  /** Reads the keys. Throws `CREDENTIALS_REQUIRED` where credentials are asked for and none could be right. */
  open(): Promise<void>
  close(): Promise<void>
}

/**
 * @example
 * const access = createAccess(optionsSchema.parse({ apiKeys: [process.env.KEY] }), { keyStore })
 * await access.open()
 * const actor = await access.identify({ authorization: `Bearer ${process.env.KEY}` }) // { name: 'key:9f86d081', roles: ['admin'] }
 */
export function createAccess(
  options: AccessOptions,
  { keyStore, logger = silentLogger }: AccessParts = {},
): OpenedAccess {
  const { apiKeys, oidc, host } = options
  const required = options.required ?? (!isLoopback(host) || apiKeys.length > 0 || oidc !== undefined)
  const configured = new ConfiguredKeys(apiKeys)
  const ring = keyStore && new KeyRing(keyStore, logger)
  const tokens = oidc && new Tokens(createVerify(oidc), oidc)

  const presented = new WeakMap<Credentials, Presented>()
  const read = (credentials: Credentials): Presented => {
    const { authorization } = credentials
    const token = bearerOf(authorization ?? '')
    if (token === undefined) throw errors.UNAUTHORIZED({ given: authorization !== undefined })
    const parts = { token, key: presentedKey(token) }
    presented.set(credentials, parts)
    return parts
  }
  const known = (actor: Actor | undefined): Actor => {
    if (!actor) throw errors.UNAUTHORIZED({ given: true })
    return actor
  }
  function identify(credentials: Credentials): Actor | Promise<Actor> {
    if (credentials.authorization === undefined && !required) return localActor
    const { token, key } = presented.get(credentials) ?? read(credentials)
    const found = key && ring?.find(key)
    if (found instanceof Promise) return found.then((actor) => actor ?? other(token))
    return found ?? other(token)
  }
  const other = (token: string): Actor | Promise<Actor> => {
    const actor = configured.find(token)
    return actor === undefined && tokens && isCompactJws(token) ? tokens.find(token) : known(actor)
  }

  return {
    required,
    identify,
    processKey: configured.processKey,
    ...(keyStore && ring && { keys: keysOf(keyStore, ring) }),
    async open() {
      await ring?.refresh()
      if (required && apiKeys.length === 0 && !oidc && !ring?.hasLive()) throw errors.CREDENTIALS_REQUIRED({ host })
    },
    close: async () => ring?.close(),
  }
}

/** Header, payload and signature (RFC 7515, section 7.1). */
function isCompactJws(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)
}
