import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Client, createClient } from '@tideway/client'
import { errors, idSchema, type PipelineConfig } from '@tideway/core'
import { SingleBar } from 'cli-progress'
import { z } from 'zod'
import { latestParent, type TrainOrder, trainPipeline } from '../commands/train.js'
import { readCloudProcess, readJsonFile } from '../config/process-file.js'
import { cloudErrors } from '../errors.js'
import { rowsOf } from '../pipeline/evaluate.js'
import { type Parts, splitDataset } from '../pipeline/split.js'
import { newId } from '../roles/ids.js'
import type { Steps } from '../view/steps.js'
import { collect, type Device, feed, type Link, startDevices, statusOf, waitUntilActive } from './devices.js'
import { dirtyLens } from './lens.js'
import { ensureNats } from './nats.js'
import { runningIn, start } from './processes.js'
import { failuresOf, type QuickstartResult } from './result.js'

export interface QuickstartOptions {
  readonly dir: string
  readonly devices: number
  readonly seed?: number
  readonly transport: 'embedded' | 'nats'
  readonly dirtyLens: boolean
}

/** The whole loop: cloud, training, devices, rollout, inference, drift. */
export async function runQuickstart(options: QuickstartOptions, steps: Steps): Promise<QuickstartResult> {
  const began = performance.now()
  const { client, link, fleet } = await steps.during('1/5 starting the cloud', () => startCloud(options))

  const pipeline = await loadDigitsPipeline()
  const parent = await latestParent(client, pipeline.model)
  const seed = options.seed ?? (parent ? parent.seed + 1 : 1)
  steps.say(`2/5 training${parent ? ` version ${parent.version}'s weights further` : ''}, seed ${seed}`)
  const order: TrainOrder = { seed, ...(parent && { from: parent.from, splitSeed: parent.splitSeed }) }
  const { result: made } = await trainPipeline(client, pipeline, order)
  const { version, manifestDigest } = made.version

  const moving = `3/5 starting ${options.devices} devices and moving them to ${pipeline.model}:${version}`
  const { devices, before } = await steps.during(moving, async () => {
    const started = await startDevices(options.dir, options.devices, fleet, link)
    const states = await Promise.all(started.map(statusOf))
    await client.deploy({ model: pipeline.model, version, fleet })
    await waitUntilActive(started, pipeline.model, manifestDigest)
    return { devices: started, before: states }
  })

  const lens = options.dirtyLens ? ', the last one behind a dirty lens' : ''
  steps.say(`4/5 inference on ${options.devices} devices${lens}`)
  const shares = await sharesOf(pipeline, parent?.splitSeed ?? seed, options)
  const refused = await feedAll(devices, pipeline, shares)

  const rows = shares.map((share, i) => share.length - refused[i]!)
  const verdicts = await steps.during('5/5 collecting reports', () =>
    collect(client, devices, fleet, manifestDigest, rows),
  )
  const after = await Promise.all(devices.map(statusOf))
  const measured = devices.map(({ id, pid }, i) => {
    const model = after[i]!.models[pipeline.model]!
    const earlier = before[i]!.models[pipeline.model]
    return {
      id,
      pid,
      digest: model.variantDigest ?? '',
      active: model.status === 'active',
      inferences: model.inferences - (earlier?.inferences ?? 0),
      errors: Math.max(refused[i]!, model.errors - (earlier?.errors ?? 0)),
      p50Ms: model.p50Ms ?? Number.NaN,
      p99Ms: model.p99Ms ?? Number.NaN,
      driftFlagged: verdicts[i]!.flagged,
      driftScore: verdicts[i]!.score,
      bytesFetched: model.bytesFetched,
    }
  })
  const result = {
    model: pipeline.model,
    version,
    manifestDigest,
    fleet,
    transport: options.transport,
    seed,
    train: made.train,
    accuracy: { fp32: made.evaluation.fp32?.accuracy ?? 0, int8: made.evaluation.int8?.accuracy ?? 0 },
    bytes: { fp32: made.bytes.fp32 ?? 0, int8: made.bytes.int8 ?? 0 },
    alarmRate: verdicts[0]?.alarmRate ?? Number.NaN,
    dirtyLens: options.dirtyLens,
    devices: measured,
    seconds: Number(((performance.now() - began) / 1000).toFixed(2)),
  }
  return { ...result, failures: failuresOf(result, made.variantDigests.int8 ?? '') }
}

/**
 * A cloud that an earlier `quickstart --keep` left running is used again, on the same transport. Any other in the
 * directory is somebody's, who would not want it stopped in the end. Answers whether one runs: it is left running, too.
 * Throws `CLOUD_ALREADY_RUNNING`.
 */
export async function checkFree({ dir, transport }: Pick<QuickstartOptions, 'dir' | 'transport'>): Promise<boolean> {
  const running = await readCloudProcess(dir)
  if (!running) return false
  const ours = (await runningIn(dir)).some(({ name, pid }) => name === 'cloud' && pid === running.pid)
  if (!ours || (running.natsUrl !== undefined) !== (transport === 'nats'))
    throw cloudErrors.CLOUD_ALREADY_RUNNING({ dir, pid: running.pid })
  return true
}

async function startCloud(options: QuickstartOptions): Promise<{ client: Client; link: Link; fleet: string }> {
  const { dir, transport } = options
  const natsUrl = transport === 'nats' ? await ensureNats(dir) : undefined
  const running = await readCloudProcess(dir)
  const bin = fileURLToPath(new URL('../bin.js', import.meta.url))
  const wire = natsUrl === undefined ? ['--mqtt-port', '0'] : ['--nats', natsUrl]
  const command = {
    file: process.execPath,
    args: [bin, 'up', '--no-config', '--dir', dir, '--port', '0', '--json', ...wire],
  }
  const url =
    running?.url ??
    (await start(dir, 'cloud', command, (line) => (line.ready === true ? { url: String(line.url) } : undefined))).detail
      .url!
  const link = natsUrl === undefined ? { cloud: url } : { nats: natsUrl }
  return { client: createClient({ url }), link, fleet: await fleetOf(dir) }
}

/**
 * The fleet of this directory: a name of its own, since a NATS server may be shared with other clouds, whose desired
 * states for a fleet of the same name would be newer than ours.
 */
async function fleetOf(dir: string): Promise<string> {
  const file = join(dir, 'fleet.json')
  const noted = await readJsonFile(file, z.object({ fleet: idSchema }))
  const fleet = noted?.fleet ?? `quickstart-${newId().slice(0, 8)}`
  if (!noted) await writeFile(file, JSON.stringify({ fleet }))
  return fleet
}

type DigitsPipeline = PipelineConfig & Required<Pick<PipelineConfig, 'network'>>

/** The example is not a dependency of the cloud: it carries 41 MB of digits. */
async function loadDigitsPipeline(): Promise<DigitsPipeline> {
  const name = '@tideway/example-digits'
  const loaded = await import(name).catch((cause: unknown) => {
    throw errors.PLUGIN_NOT_INSTALLED({ package: name }, cause)
  })
  return (loaded as { pipeline: DigitsPipeline }).pipeline
}

/** Each device's own share of the rows held out, as it sees them. */
async function sharesOf(
  pipeline: PipelineConfig,
  splitSeed: number,
  options: QuickstartOptions,
): Promise<Float32Array[][]> {
  const dataset = await pipeline.data({})
  const { train = 0, validation = 0, test = 0, by = 'shuffle' } = pipeline.split ?? {}
  const { inputs }: Parts['test'] = splitDataset(dataset, { train, validation, test, by, seed: splitSeed }).test
  const [height = 1, width = 1] = dataset.image ?? []
  const size = Math.floor(test / options.devices)
  return Array.from({ length: options.devices }, (_, device) =>
    Array.from({ length: size }, (_row, i) => {
      const image = rowsOf(inputs, device * size + i, device * size + i + 1).data
      return options.dirtyLens && device === options.devices - 1 ? dirtyLens(image, height, width) : image
    }),
  )
}

async function feedAll(
  devices: readonly Device[],
  pipeline: DigitsPipeline,
  shares: readonly Float32Array[][],
): Promise<number[]> {
  const { name } = pipeline.network.input
  const bar = new SingleBar({
    stream: process.stderr,
    format: 'inference  [{bar}] {value}/{total} images',
    clearOnComplete: false,
  })
  if (process.stderr.isTTY) bar.start(shares.flat().length, 0)
  const refused = await Promise.all(
    devices.map((device, i) => feed(device, pipeline.model, { name, rows: shares[i]! }, () => bar.increment())),
  )
  if (process.stderr.isTTY) bar.stop()
  return refused
}
