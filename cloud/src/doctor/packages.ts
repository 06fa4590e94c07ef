import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const here = createRequire(import.meta.url)

/** The version of a package as this one finds it, or as another one does; undefined where it is not installed. */
export function versionOf(name: string, by?: string): string | undefined {
  try {
    const require = by === undefined ? here : createRequire(here.resolve(by))
    for (const folder of require.resolve.paths(name) ?? []) {
      const version = versionIn(`${folder}/${name}/package.json`)
      if (version !== undefined) return version
    }
  } catch {
    // The other one is not installed either.
  }
  return undefined
}

function versionIn(path: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) as { version?: string }).version
  } catch {
    return undefined
  }
}
