import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { errors, isLoopback, type ResolvedCloudConfig, tokens } from '@tideway/core'
import { openHostOf } from './open-host.js'

/**
 * Throws `CREDENTIALS_REQUIRED` ahead of everything that is opened, where credentials are asked for and there can be none: the
 * configuration has no key and no issuer, and in its folder there is no store yet that might have keys. Whether a store has
 * some is known when it is open.
 */
export function checkCredentials(config: ResolvedCloudConfig): void {
  const { http, access, roles, plugins, postgresUrl, dir } = config
  const host = openHostOf(config)
  const areRequired = roles.includes('api') && (access.required ?? !isLoopback(host))
  if (!areRequired || http.apiKeys.length > 0 || access.oidc !== undefined) return
  const others = plugins.flatMap(({ plugin }) => plugin.provides ?? [])
  if (others.includes(tokens.access) || others.includes(tokens.keyStore)) return
  if (postgresUrl === undefined && !existsSync(join(dir, 'db'))) throw errors.CREDENTIALS_REQUIRED({ host })
}
