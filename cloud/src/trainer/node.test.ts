import { type Client, createClient } from '@tideway/client'
import {
  createHost,
  definePipeline,
  encodeTensors,
  errors,
  type Host,
  type JobQueue,
  type JobRecord,
  type LogData,
  type Logger,
  resolvePipeline,
  silentLogger,
  type Trainer,
  tokens,
} from '@tideway/core'
import { createQuantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { serverHttp } from '@tideway/server-http'
import { storePostgres } from '@tideway/store-postgres'
import { temporaryFolder } from '@tideway/test/support/folder'
import { putFreshStore } from '@tideway/test/support/fresh-store'
import { eventually } from '@tideway/test/support/process'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { jobs } from '../roles/jobs.js'
import { createLocalQueue, localQueue } from '../roles/queue.js'
import { startTrainerNode } from './node.js'

type Fault = (init: RequestInit) => Response | undefined
interface Line extends LogData {
  readonly level: keyof Logger
  readonly message: string
}

const html = (status: number) => new Response('<html>Bad Gateway</html>', { status })
const internal = () => Response.json({ error: { code: 'INTERNAL', message: 'see the log' } }, { status: 500 })
const brokenOff = () =>
  new Response(new ReadableStream({ start: (body) => body.error(new TypeError('terminated')) }), { status: 200 })

let host: Host
let client: Client
let queue: JobQueue
const cleans: (() => Promise<void>)[] = []
const stops: (() => Promise<void>)[] = []

const ROWS = 200
/** Whether a point lies left or right; trains in a moment. */
const pipeline = definePipeline({
  model: 'sides',
  data: () => ({
    inputs: {
      dtype: 'float32',
      shape: [ROWS, 1],
      data: Float32Array.from({ length: ROWS }, (_, i) => (i % 2) * 2 - 1),
    },
    targets: { dtype: 'int32', shape: [ROWS], data: Int32Array.from({ length: ROWS }, (_, i) => i % 2) },
  }),
  split: { train: 100, validation: 50, test: 50 },
  network: {
    input: { name: 'x', shape: [1] },
    layers: [{ type: 'dense', units: 2, activation: 'softmax' }],
    output: { name: 'y' },
  },
  epochs: 5,
})

/** The cloud's HTTP face on a real store. */
beforeAll(async () => {
  const dir = await temporaryFolder((clean) => void cleans.push(clean))
  await putFreshStore(dir)
  host = createHost()
  host.provide(tokens.logger, () => silentLogger)
  host.use(storePostgres({ dir }), localQueue(), jobs(), serverHttp({ port: 0 }))
  await host.start()
  client = createClient({ url: host.get(tokens.server).url ?? '' })
  queue = host.get(tokens.jobQueue)
})
afterAll(async () => {
  await host?.stop()
  for (const clean of cleans) await clean()
})
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

/** A trainer node whose requests meet the fault on their way, and what it logs. */
async function startNode(fault: Fault, given: { trainer?: Trainer; queue?: JobQueue } = {}): Promise<Line[]> {
  const lines: Line[] = []
  const log = (level: keyof Logger) => (message: string, data?: LogData) => void lines.push({ ...data, level, message })
  const through: typeof fetch = async (input, init = {}) => fault(init) ?? fetch(input, init)
  const stop = await startTrainerNode({
    name: 'node',
    queue,
    client: createClient({ url: client.url, fetch: through }),
    trainer: createOnnxTrainer({ threads: 1 }),
    quantizer: createQuantizer(),
    runtime: createOnnxNodeRuntime(),
    logger: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    checkpointEveryMs: 0,
    ...given,
  })
  stops.push(stop)
  return lines
}

async function submit(): Promise<JobRecord> {
  const dataset = await pipeline.data({})
  const { sha256, size } = await client.putBlob(
    encodeTensors({ data: { inputs: dataset.inputs, targets: dataset.targets } }),
  )
  return client.submitJob(resolvePipeline(pipeline, { dataset, data: { sha256, size } }))
}

async function untilEnded(id: string): Promise<JobRecord> {
  return eventually('the job has ended', async () => {
    const job = await client.job(id)
    return job.status === 'finished' || job.status === 'failed' ? job : undefined
  })
}

const isInterruption = ({ message }: Line) => message.startsWith('job interrupted')

describe('a trainer node whose cloud cannot answer for a moment', () => {
  const faults: Record<string, () => Response> = {
    '502 of a proxy, as HTML': () => html(502),
    '503 of a proxy, as HTML': () => html(503),
    '500 of the cloud': internal,
    'an answer that breaks off': brokenOff,
  }

  it.each(Object.keys(faults))('tries the job again, and says so: %s', async (name) => {
    let checkpoints = 0
    // In the middle of training: the third word that carries a checkpoint.
    const lines = await startNode(({ method, body }) => {
      const isCheckpoint = method === 'PATCH' && typeof body === 'string' && body.includes('"checkpoint"')
      return isCheckpoint && ++checkpoints === 3 ? faults[name]!() : undefined
    })
    const { id } = await submit()
    expect(await untilEnded(id)).toMatchObject({ status: 'finished', worker: 'node' })
    expect(checkpoints).toBeGreaterThan(3)
    expect(lines.filter(isInterruption)).toMatchObject([{ level: 'warn', job: id, failures: 1 }])
  })

  it('says so at every try, and louder when it lasts', async () => {
    let tries = (): number => 0
    const lines = await startNode(() => (tries() < 5 ? internal() : undefined))
    tries = () => lines.filter(isInterruption).length
    const { id } = await submit()
    expect(await untilEnded(id)).toMatchObject({ status: 'finished' })
    expect(lines.filter(isInterruption)).toMatchObject(
      ['warn', 'warn', 'warn', 'warn', 'error'].map((level, i) => ({ level, failures: i + 1, code: 'INTERNAL' })),
    )
  })
})

describe('the metrics of a run', () => {
  const epochsOf = async (id: string, key: string) => (await client.metricHistory(id, key)).map(({ step }) => step)

  it('are kept of every epoch once, also when a node takes the job up again', async () => {
    let checkpoints = 0
    await startNode(({ method, body }) => {
      const isCheckpoint = method === 'PATCH' && typeof body === 'string' && body.includes('"checkpoint"')
      return isCheckpoint && ++checkpoints === 3 ? internal() : undefined
    })
    const { id } = await submit()
    const { progress, result } = await untilEnded(id)
    expect(checkpoints).toBeGreaterThan(3)
    for (const key of ['loss', 'valLoss', 'valAccuracy']) expect(await epochsOf(id, key)).toEqual([1, 2, 3, 4, 5])
    expect(progress).toMatchObject({ stage: 'publishing' })
    const curves = Buffer.from(await client.getBlob((result as { curves: string }).curves)).toString()
    expect(curves).toContain('<title>Learning curves of 5 epochs</title>')
  })

  it('are told again when the cloud did not take them', async () => {
    let refused = 0
    await startNode(({ method, body }) => {
      const isMetrics = method === 'POST' && typeof body === 'string' && body.includes('"points"')
      return isMetrics && ++refused === 1 ? internal() : undefined
    })
    const { id } = await submit()
    await untilEnded(id)
    expect(refused).toBeGreaterThan(1)
    expect(await epochsOf(id, 'valLoss')).toEqual([1, 2, 3, 4, 5])
  })
})

describe('a trainer node whose job goes wrong for good', () => {
  const failing = (error: Error): Trainer => ({ ...createOnnxTrainer(), fit: () => Promise.reject(error) })

  it.each([
    ['a defect', new TypeError('x is not a function'), 'INTERNAL'],
    ['an error of its own with the status of a passing one', errors.LINK_UNAVAILABLE({ url: 'x' }), 'LINK_UNAVAILABLE'],
  ])('fails the job at once: %s', async (_name, error, code) => {
    const lines = await startNode(() => undefined, { trainer: failing(error) })
    const { id } = await submit()
    expect(await untilEnded(id)).toMatchObject({ status: 'failed', error: { code, message: error.message } })
    expect(lines.filter(isInterruption)).toEqual([])
  })

  it('ends the delivery of a job that the cloud does not know', async () => {
    const own = createLocalQueue()
    const lines = await startNode(() => undefined, { queue: own })
    await own.push({ id: 'unknown' })
    await eventually('it is dropped', () => lines.some(({ message }) => message.startsWith('job dropped')))
    // Off the queue: it can be pushed anew.
    await eventually('it is taken once more', async () => {
      await own.push({ id: 'unknown' })
      return lines.filter(({ message }) => message.startsWith('job dropped')).length >= 2
    })
    expect(lines.filter(isInterruption)).toEqual([])
  })
})
