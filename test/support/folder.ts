import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A test's own way to clean up: that of its context, as the global one is not for tests that run side by side. */
export type OnFinished = (clean: () => Promise<void>) => void

/** A folder that is removed after the test, without links in its path. */
export async function temporaryFolder(onFinished: OnFinished): Promise<string> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'tideway-test-')))
  onFinished(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }))
  return dir
}
