import { accessSync, constants, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Servers that some suites run against; none is ever installed by a test. */
export const SERVERS = {
  'nats-server': 'apt-get install nats-server',
  mosquitto: 'apt-get install mosquitto',
  postgres: 'apt-get install postgresql',
  chromium: 'apt-get install chromium',
} as const

export type ServerName = keyof typeof SERVERS

/** Folders in which systems keep servers off a user's PATH. */
function folders(): string[] {
  const fixed = ['/usr/local/sbin', '/usr/sbin', '/usr/local/bin', '/usr/bin', '/opt/homebrew/bin']
  const postgres = '/usr/lib/postgresql'
  let versions: string[] = []
  try {
    versions = readdirSync(postgres).toSorted((a, b) => Number(b) - Number(a))
  } catch {
    // Not a Debian with PostgreSQL.
  }
  return [
    ...(process.env.PATH ?? '').split(delimiter),
    ...fixed,
    ...versions.map((version) => join(postgres, version, 'bin')),
  ]
}

/** Path of an installed server, or undefined. */
export function serverPath(name: ServerName): string | undefined {
  for (const folder of folders().filter(Boolean)) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not here.
    }
  }
  return undefined
}
