import { definePlugin, tokens } from '@tideway/core'
import { createAccess } from './access.js'
import { optionsSchema } from './options.js'

/**
 * Who may ask the servers of this process: keys that the configuration names, keys of the store, tokens of an OpenID Connect
 * issuer. Takes the store's keys where there is a store. At its start it throws `CREDENTIALS_REQUIRED` where credentials
 * are asked for and none could be right.
 *
 * @example
 * defineConfig({ plugins: [access({ oidc: { issuer: 'https://sso.example.com/realms/main', audience: 'tideway' } })] })
 */
export const access = definePlugin({
  name: '@tideway/access',
  host: '^0.1.0',
  provides: [tokens.access],
  options: optionsSchema,
  register(scope, options) {
    const take = <T>(token: Parameters<typeof scope.get<T>>[0]) => (scope.has(token) ? scope.get(token) : undefined)
    let made: ReturnType<typeof createAccess> | undefined
    const access = () => {
      made ??= createAccess(options, { keyStore: take(tokens.keyStore), logger: take(tokens.logger) })
      return made
    }
    scope.provide(tokens.access, access)
    return { start: () => access().open(), stop: () => made?.close() }
  },
})
