import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The variable of the environment with the folder, for the processes that run tests. */
export const TEMPLATES = 'TIDEWAY_TEST_TEMPLATES'

/** Vitest's global setup: a folder that all test files of one run share, and that is gone after it. */
export default async function setup(): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-templates-'))
  process.env[TEMPLATES] = dir
  return () => rm(dir, { recursive: true, force: true })
}
