import { type ChildProcess, execFile, fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Client, createClient } from '@tideway/client'
import { connectEdgeNats } from '@tideway/transport-nats'
import { startNats } from '../support/nats.js'
import { eventually, startNode } from '../support/process.js'
import { serverPath } from '../support/server-path.js'
import type { Bench } from './result.js'
import type { DevicesOrder, DevicesWord } from './update-devices.js'

const FLEET = 'bench'
const MODEL = 'digits'
const PROCESSES = 4
const EVERY_MS = 100
const WAIT_SECONDS = 120
const cloudBin = fileURLToPath(new URL('../../../cloud/dist/bin.js', import.meta.url))
const pipeline = fileURLToPath(new URL('../../../examples/digits/src/pipeline.ts', import.meta.url))

/**
 * Publishes a version to N devices over NATS while they infer: how long until 95% and all of them run it, how many bytes
 * each fetched, how many inferences failed. The ceiling is the same bytes by the same number of connections, only
 * fetched: no store, no digest, no session. `--devices N` (default 200).
 */
export const update: Bench = async (progress, args) => {
  const at = args.indexOf('--devices')
  const devices = at < 0 ? 200 : Number(args[at + 1])
  const path = serverPath('nats-server')
  if (path === undefined) throw new Error('this benchmark needs nats-server on PATH (apt-get install nats-server)')
  const dir = await mkdtemp(join(tmpdir(), 'tideway-update-'))
  const nats = await startNats(path)
  const cloud = startNode(cloudBin, ['up', '--dir', join(dir, 'cloud'), '--port', '0', '--nats', nats.url, '--json'])
  const children: ChildProcess[] = []
  try {
    const { url } = JSON.parse(await cloud.waitForLine(/"ready":true/, 60_000)) as { url: string }
    const client = createClient({ url })
    progress('training two versions')
    const versions = [await train(url, 1), await train(url, 2)]
    const fleet = startDevices(children, { nats: nats.url, dir: join(dir, 'devices'), devices })

    progress(`starting ${devices} devices in ${PROCESSES} processes, with version 1`)
    await client.deploy({ model: MODEL, version: versions[0]!.version, fleet: FLEET })
    await fleet.allActive(versions[0]!.manifestDigest)
    const before = await fleet.totals()

    progress('publishing version 2')
    const began = Date.now()
    await client.deploy({ model: MODEL, version: versions[1]!.version, fleet: FLEET })
    const times = (await fleet.allActive(versions[1]!.manifestDigest))
      .map((time) => (time - began) / 1000)
      .toSorted((a, b) => a - b)
    const after = await fleet.totals()

    progress('the ceiling: the same chunks, only fetched')
    const ceilingSeconds = await fetchOnly(nats.url, client, versions[1]!.manifestDigest, devices)
    const seconds95 = times[Math.ceil(devices * 0.95) - 1]!
    const seconds100 = times.at(-1)!
    const inferences = after.inferences - before.inferences
    const failedInferences = after.failures
    const bytesPerDevice = Math.round(after.bytesFetched / devices)
    return {
      rows: [
        {
          engine: 'nats',
          devices,
          processes: PROCESSES,
          seconds95,
          seconds100,
          bytesPerDevice,
          int8Bytes: versions[1]!.bytes.int8,
          inferences,
          failedInferences,
          ceilingSeconds,
        },
      ],
      checks: [
        { id: 'failed-inferences', value: failedInferences, atMost: 0 },
        { id: 'share-active', value: times.length / devices, atLeast: 1 },
        { id: 'inferences-during-switch', value: inferences, atLeast: devices },
        { id: 'bytes-per-device-to-int8-file', value: bytesPerDevice / versions[1]!.bytes.int8, atMost: 1.4, aim: 1.3 },
        { id: 'seconds-to-all-against-fetch-only', value: seconds100 / ceilingSeconds, atMost: 10, aim: 5 },
      ],
    }
  } finally {
    for (const child of children) child.disconnect()
    await cloud.kill()
    await nats.close()
    await rm(dir, { recursive: true, force: true })
  }
}

interface Made {
  readonly version: number
  readonly manifestDigest: string
  readonly bytes: { readonly int8: number }
}

async function train(cloud: string, seed: number): Promise<Made> {
  const args = [cloudBin, 'train', pipeline, '--cloud', cloud, '--seed', String(seed), '--json']
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const { version, bytes } = JSON.parse(stdout) as { version: Made; bytes: Made['bytes'] }
  return { version: version.version, manifestDigest: version.manifestDigest, bytes }
}

function startDevices(
  children: ChildProcess[],
  { nats, dir, devices }: { nats: string; dir: string; devices: number },
) {
  const active = new Map<string, { manifestDigest: string; at: number }>()
  const ids = Array.from({ length: devices }, (_, i) => `device-${i + 1}`)
  for (let p = 0; p < PROCESSES; p += 1) {
    const child = fork(fileURLToPath(new URL('./update-devices.js', import.meta.url)))
    children.push(child)
    child.on('message', (word: DevicesWord) => {
      if (word.kind === 'active') active.set(word.id, word)
    })
    const mine = ids.filter((_, i) => i % PROCESSES === p)
    child.send({
      nats,
      dir,
      fleet: FLEET,
      ids: mine,
      model: MODEL,
      width: 784,
      everyMs: EVERY_MS,
    } satisfies DevicesOrder)
  }
  return {
    /** When each device became active on this version. */
    async allActive(manifestDigest: string): Promise<number[]> {
      const until = Date.now() + WAIT_SECONDS * 1000
      for (;;) {
        const there = [...active.values()].filter((word) => word.manifestDigest === manifestDigest)
        if (there.length === devices) return there.map(({ at }) => at)
        if (Date.now() > until)
          throw new Error(`only ${there.length} of ${devices} devices became active in ${WAIT_SECONDS} s`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
    async totals() {
      const words = await Promise.all(children.map((child) => totalsOf(child)))
      const sum = (of: (word: Totals) => number) => words.reduce((total, word) => total + of(word), 0)
      return {
        inferences: sum((w) => w.inferences),
        failures: sum((w) => w.failures),
        bytesFetched: sum((w) => w.bytesFetched),
      }
    },
  }
}

type Totals = Extract<DevicesWord, { kind: 'totals' }>

function totalsOf(child: ChildProcess): Promise<Totals> {
  return new Promise((resolve) => {
    const listen = (word: DevicesWord) => {
      if (word.kind !== 'totals') return
      child.off('message', listen)
      resolve(word)
    }
    child.on('message', listen)
    child.send('totals')
  })
}

/** Seconds for as many connections to fetch the same chunks at once. */
async function fetchOnly(url: string, client: Client, manifestDigest: string, connections: number): Promise<number> {
  const { manifest } = await client.version(MODEL, 'latest')
  const { files, knownAnswers } = manifest.variants[0]!
  const chunks = [
    manifestDigest,
    ...[...files, knownAnswers].flatMap((blob) => blob.chunks.map(({ sha256 }) => sha256)),
  ]
  const links = Array.from({ length: connections }, (_, i) =>
    connectEdgeNats({ url, fleet: FLEET, device: `fetcher-${i}` }),
  )
  await eventually('all fetchers are connected', () => links.every((link) => link.connected()), 60_000)
  const began = performance.now()
  await Promise.all(
    links.map(async (link) => {
      for (const sha256 of chunks) await link.fetchChunk(sha256)
    }),
  )
  const seconds = (performance.now() - began) / 1000
  await Promise.all(links.map((link) => link.close()))
  return seconds
}
