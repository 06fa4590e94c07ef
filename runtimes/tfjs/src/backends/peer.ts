import { createRequire } from 'node:module'
import { firstLine, Unusable } from '@tideway/core'

const require = createRequire(import.meta.url)

export function isInstalled(name: string): boolean {
  try {
    require.resolve(name)
    return true
  } catch {
    return false
  }
}

/** Imports an optional peer by name, so that this package compiles and runs without it. Throws `Unusable`. */
export async function importPeer(name: string): Promise<Record<string, unknown>> {
  if (!isInstalled(name)) throw new Unusable(`the package ${name} is not installed`, false)
  try {
    return (await import(name)) as Record<string, unknown>
  } catch (cause) {
    throw new Unusable(
      `${name} cannot be loaded on ${process.platform}-${process.arch}: ${firstLine(cause)}`,
      false,
      cause,
    )
  }
}
