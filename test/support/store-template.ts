import { cp, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Set for the test processes by the function below. */
const FOLDER = 'TIDEWAY_TEST_TEMPLATES'

/** Vitest's global setup: a folder that all test files of one run share, and that is gone after it. */
export default async function setup(): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-templates-'))
  process.env[FOLDER] = dir
  return () => rm(dir, { recursive: true, force: true })
}

/**
 * Puts a fresh embedded store in the folder `to`, which `make` does slowly: the first caller of a run makes one, the
 * others copy it. Outside of a run of tests nothing is put there, and the cloud makes its own.
 */
export async function copyStore(to: string, make: (dir: string) => Promise<void>): Promise<void> {
  const folder = process.env[FOLDER]
  if (folder === undefined) return
  const template = join(folder, 'store')
  const options = { recursive: true } as const
  const isThere = await cp(template, to, options).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return false
    },
  )
  if (isThere) return
  const draft = await mkdtemp(join(folder, 'draft-'))
  await make(draft)
  await cp(draft, to, options)
  // Another test file may have been faster: its store is as good.
  await rename(draft, template).catch(() => rm(draft, { recursive: true, force: true }))
}
