import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type CloudLink,
  createHost,
  type DesiredState,
  type Manifest,
  sha256Hex,
  silentLogger,
  tokens,
  writeManifest,
} from '@tideway/core'
import { openStore, type Store } from '@tideway/store-postgres'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { controller } from './controller.js'

let dir: string
let store: Store
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-controller-'))
  store = await openStore({ dir })
})
afterAll(async () => {
  await store.close()
  await rm(dir, { recursive: true })
})

/** Registers a version whose one file is a few bytes; answers its manifest's digest. */
async function version(model: string, content: string): Promise<string> {
  const bytes = new TextEncoder().encode(content)
  const sha256 = sha256Hex(bytes)
  const blob = { sha256, size: bytes.byteLength, chunks: [{ sha256, size: bytes.byteLength }] }
  const manifest: Manifest = {
    v: 1,
    model,
    signature: {
      inputs: [{ name: 'x', dtype: 'float32', shape: [null, 1] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: [null, 1] }],
    },
    variants: [
      {
        id: 'v',
        format: 'onnx',
        precision: 'fp32',
        requires: [],
        files: [{ ...blob, path: 'm' }],
        knownAnswers: { ...blob, rows: 1, tolerance: 1 },
      },
    ],
    metrics: {},
    lineage: { dataDigest: sha256, configDigest: sha256, seed: 1, code: 'test' },
  }
  const written = writeManifest(manifest)
  await store.chunkStore.put(sha256, bytes)
  await store.chunkStore.put(sha256Hex(written), written)
  await store.registry.register({ model, manifestDigest: sha256Hex(written) })
  return sha256Hex(written)
}

/** A controller over the store and a link that carries everything, and remembers the order in which it did. */
function start(refuse: (sha256: string) => boolean = () => false) {
  const carried: string[] = []
  const link = {
    name: 'remembering',
    flags: { carriesChunks: true, carriesDesired: true },
    putChunk: async (sha256: string) => {
      if (refuse(sha256)) throw new Error('no room')
      carried.push(sha256)
    },
    publishDesired: async (_target: object, desired: DesiredState) =>
      void carried.push(`generation ${desired.generation}`),
  } as Partial<CloudLink> as CloudLink
  const host = createHost()
  host.provide(tokens.logger, () => silentLogger)
  host.provide(tokens.cloudLink, () => link)
  host.provide(tokens.registry, () => store.registry)
  host.provide(tokens.chunkStore, () => store.chunkStore)
  host.provide(tokens.deviceStore, () => store.deviceStore)
  host.provide(tokens.auditLog, () => store.auditLog)
  host.use(controller())
  return { host, carried, controller: host.get(tokens.controller) }
}

it('publishes chunks, then the manifest, then the desired state, one deployment after another', async () => {
  const [one, two] = [await version('order', 'one'), await version('order', 'two')]
  const { controller: deployer, carried } = start()
  const at = { model: 'order', fleet: 'order', actor: 'test' }
  await Promise.all([deployer.deploy({ ...at, version: '1' }), deployer.deploy({ ...at, version: '2' })])
  expect(carried).toEqual([sha256Hex('one'), one, 'generation 1', sha256Hex('two'), two, 'generation 2'])
})

it('names the devices of a fleet that a deployment to all of it does not move', async () => {
  await version('pinned', 'a')
  await version('pinned', 'b')
  const { controller: deployer } = start()
  const at = { model: 'pinned', fleet: 'pinned', actor: 'test' }
  expect(await deployer.deploy({ ...at, version: '1', devices: ['canary'] })).toMatchObject({ unaffected: [] })
  expect(await deployer.deploy({ ...at, version: '2' })).toMatchObject({ unaffected: ['canary'] })
  expect(await deployer.deploy({ ...at, version: '1' })).toMatchObject({ unaffected: [] })
})

it('starts although a version cannot be published again, and keeps back only what wants that one', async () => {
  const bad = await version('bad', 'damaged')
  const good = await version('good', 'whole')
  const first = start()
  for (const model of ['bad', 'good'])
    await first.controller.deploy({ model, version: '1', fleet: `refill-${model}`, actor: 'test' })
  const { host, carried } = start((sha256) => sha256 === sha256Hex('damaged'))
  await host.start()
  expect(carried).toContain(good)
  expect(carried).not.toContain(bad)
  expect(carried.filter((item) => item.startsWith('generation')).length).toBeGreaterThan(0)
})
