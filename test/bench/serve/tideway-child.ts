import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCloud } from '@tideway/cloud'
import { resolveConfig, silentLogger, tokens } from '@tideway/core'
import { putTestVersion } from '../../support/cloud-services.js'

/** The cloud's inference as `tideway up --roles api` has it, with files by model: `NAME=FILE ...`. Says its URL on a line. */
const dir = await mkdtemp(join(tmpdir(), 'tideway-serve-'))
const config = { dir, roles: ['api' as const], http: { port: 0 }, broker: { port: 0 } }
const cloud = await createCloud(resolveConfig(config), silentLogger)
await cloud.start()
for (const argument of process.argv.slice(2)) {
  const [model = '', file = ''] = argument.split('=')
  const store = { chunkStore: cloud.get(tokens.chunkStore) }
  const { manifestDigest } = await putTestVersion(store, model, model, await readFile(file))
  await cloud.get(tokens.registry).register({ model, manifestDigest, aliases: ['latest'] })
}
console.log(JSON.stringify({ url: cloud.get(tokens.server).url }))
const stop = async (): Promise<void> => {
  await cloud.stop()
  await rm(dir, { recursive: true, force: true })
  process.exit(0)
}
process.once('SIGTERM', () => void stop())
