import { randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createCloud } from '@tideway/cloud'
import { type CloudConfig, resolveConfig, silentLogger, tokens } from '@tideway/core'
import { readModel, writeModel } from '@tideway/onnx'
import { putTestVersion } from '../../support/cloud-services.js'
import { bare } from './bare.js'

/**
 * The cloud's inference as `tideway up --roles api` has it: `DIR NAME=FILE ...`. What the folder holds already is not
 * registered again. In the environment: PROCESSES of the data plane; ACCESS=required, which makes a key; TRACES, where they
 * are sent to, and the share SAMPLED; BARE, which has none of metrics, traces and access. Says its URL on a line, the
 * processes that answer, and the URL of a second server, where `POST /switch` registers one more version of the first model
 * and answers with its number.
 */
const [dir = '', ...files] = process.argv.slice(2)
const { ACCESS, TRACES, SAMPLED, BARE, PROCESSES } = process.env
await mkdir(dir, { recursive: true })
const processes = Number(PROCESSES ?? 0)
const config: CloudConfig = {
  dir,
  roles: ['api'],
  // With a key in the configuration one of the store can be made: without any, a cloud that asks for keys would not start.
  http: { port: 0, ...(ACCESS === 'required' && { apiKeys: [randomBytes(32).toString('hex')] }) },
  broker: { port: 0 },
  ...(TRACES !== undefined && { traces: { url: TRACES, sampleRatio: Number(SAMPLED ?? 1) } }),
  ...(BARE !== undefined && { plugins: bare }),
  ...(processes > 0 && { dataPlane: { port: 0, processes } }),
}
const cloud = await createCloud(resolveConfig(config), silentLogger)
await cloud.start()
const registry = cloud.get(tokens.registry)

async function register(argument: string, marker: string): Promise<number> {
  const [model = '', file = ''] = argument.split('=')
  const store = { chunkStore: cloud.get(tokens.chunkStore) }
  // A file of its own, as the manifest names it: the same manifest would be the same version again.
  const bytes = writeModel({ ...readModel(await readFile(file)), docString: marker })
  const { manifestDigest } = await putTestVersion(store, model, marker, bytes)
  const { version, created } = await registry.register({ model, manifestDigest, aliases: ['latest'] })
  if (!created) throw new Error(`version ${version.version} is one that there was already: nothing is switched`)
  return version.version
}

const known = new Set((await registry.models()).map(({ name }) => name))
for (const argument of files) if (!known.has(argument.split('=')[0] ?? '')) await register(argument, argument)

async function makeKey(): Promise<string | undefined> {
  if (ACCESS !== 'required') return undefined
  return (await cloud.get(tokens.access).keys?.create({ name: 'bench', roles: ['viewer'] }, 'bench'))?.key
}

const key = await makeKey()
let switches = 0
const control = createServer((_, response) => {
  register(files[0] ?? '', `switch ${++switches}`).then(
    (version) => response.end(String(version)),
    (error: unknown) => response.writeHead(500).end(String(error)),
  )
}).listen(0, '127.0.0.1', () => {
  const { port } = control.address() as AddressInfo
  const plane = processes > 0 ? cloud.get(tokens.dataPlane) : undefined
  const url = (plane ?? cloud.get(tokens.server)).url
  console.log(JSON.stringify({ url, key, pids: plane?.pids, control: `http://127.0.0.1:${port}` }))
})
process.once('SIGTERM', () => void cloud.stop().then(() => process.exit(0)))
