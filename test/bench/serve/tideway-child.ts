import { mkdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createCloud } from '@tideway/cloud'
import { resolveConfig, silentLogger, tokens } from '@tideway/core'
import { putTestVersion } from '../../support/cloud-services.js'

/**
 * The cloud's inference as `tideway up --roles api` has it: `DIR NAME=FILE ...`. What the folder holds already is not
 * registered again. Says its URL on a line, and that of a second server, where `POST /switch` registers one more version of
 * the first model and answers when requests get it.
 */
const [dir = '', ...files] = process.argv.slice(2)
await mkdir(dir, { recursive: true })
const processes = Number(process.env['PROCESSES'] ?? 0)
const config = {
  dir,
  roles: ['api' as const],
  http: { port: 0 },
  broker: { port: 0 },
  ...(processes > 0 && { dataPlane: { port: 0, processes } }),
}
const cloud = await createCloud(resolveConfig(config), silentLogger)
await cloud.start()
const registry = cloud.get(tokens.registry)
const serving = cloud.get(tokens.serving)

async function register(argument: string, marker: string): Promise<number> {
  const [model = '', file = ''] = argument.split('=')
  const store = { chunkStore: cloud.get(tokens.chunkStore) }
  const { manifestDigest } = await putTestVersion(store, model, marker, await readFile(file))
  return (await registry.register({ model, manifestDigest, aliases: ['latest'] })).version.version
}

const known = new Set((await registry.models()).map(({ name }) => name))
for (const argument of files) if (!known.has(argument.split('=')[0] ?? '')) await register(argument, argument)

let switches = 0
async function moved(): Promise<void> {
  const [argument = ''] = files
  const version = await register(argument, `switch ${++switches}`)
  const [model = ''] = argument.split('=')
  while ((await serving.metadata(model)).version.version !== version)
    await new Promise((resolve) => setTimeout(resolve, 1))
}
const control = createServer((_, response) => {
  moved().then(
    () => response.end(),
    (error: unknown) => response.writeHead(500).end(String(error)),
  )
}).listen(0, '127.0.0.1', () => {
  const { port } = control.address() as AddressInfo
  const { url } = processes > 0 ? cloud.get(tokens.dataPlane) : cloud.get(tokens.server)
  console.log(JSON.stringify({ url, control: `http://127.0.0.1:${port}` }))
})
process.once('SIGTERM', () => void cloud.stop().then(() => process.exit(0)))
