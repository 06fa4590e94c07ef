import { cp, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createHost, silentLogger, tokens } from '@tideway/core'
import { storePostgres } from '@tideway/store-postgres'
import { TEMPLATES } from './store-template.js'

/**
 * Puts a fresh embedded store in the folder `to`, which takes seconds to make: the first caller of a run makes one, the others
 * copy it. Outside of a run of tests nothing is put there, and the cloud makes its own.
 */
export async function putFreshStore(to: string): Promise<void> {
  const folder = process.env[TEMPLATES]
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
  await makeStore(draft)
  await cp(draft, to, options)
  // Another test file may have been faster: its store is as good.
  await rename(draft, template).catch(() => rm(draft, { recursive: true, force: true }))
}

/** As the first start of a cloud makes it. */
async function makeStore(dir: string): Promise<void> {
  const host = createHost()
  host.provide(tokens.logger, () => silentLogger)
  host.use(storePostgres({ dir }))
  await host.start()
  await host.stop()
}
