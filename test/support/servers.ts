import { describe, it } from 'vitest'
import { SERVERS, type ServerName, serverPath } from './server-path.js'

export { type ServerName, serverPath } from './server-path.js'

/**
 * A `describe` for suites that need a server. Where it is not installed there is one skipped test instead, whose title
 * says so and how to get it.
 */
export function describeWithServer(name: ServerName, title: string, suite: (path: string) => void): void {
  const path = serverPath(name)
  if (path !== undefined) describe(title, () => suite(path))
  else describe(title, () => it.skip(`[not run: needs ${name}; get it with: ${SERVERS[name]}]`, () => undefined))
}
