import { fileURLToPath } from 'node:url'
import type { Client } from '@tideway/client'
import { describe, expect, it } from 'vitest'
import { type Loop, startLoop, type TestDevice } from '../support/loop.js'
import { startPostgres } from '../support/postgres.js'
import { eventually } from '../support/process.js'
import { describeWithServer } from '../support/servers.js'
import { BLOBS, infer, rowOf, train, untilDelivered } from '../support/traffic.js'

const LONG = fileURLToPath(new URL('fixtures/long.ts', import.meta.url))
const roles = ['api', 'monitor', 'controller', 'trainer']
const FED = 100

/** All that a cloud tells, but for times that say when it was told. */
async function knowledge(client: Client) {
  const devices = await client.devices()
  return {
    models: await client.models(),
    model: await client.model('blobs'),
    history: await client.aliasHistory('blobs', 'stable'),
    manifests: [await client.version('blobs', 1), await client.version('blobs', 'stable')],
    audit: await client.audit({ limit: 1_000 }),
    jobs: await client.jobs(),
    runs: await client.runs(),
    losses: await client.metricHistory((await client.jobs())[0]!.id, 'loss'),
    counts: await client.reportCounts(),
    drift: (await client.drift()).map((verdict) => ({ ...verdict, at: undefined })),
    desired: await client.desired('till-1', 'shop'),
    devices: devices.map(({ id, fleet, firstSeenAt, reported }) => ({
      id,
      fleet,
      firstSeenAt,
      models: reported?.models,
    })),
  }
}

async function restart(loop: Loop, signal: NodeJS.Signals): Promise<void> {
  const first = await train(loop.cloud.url, BLOBS)
  const second = await train(loop.cloud.url, BLOBS, '--seed', '2')
  const { client } = loop
  await client.setAlias('blobs', 'stable', 1)
  await client.setAlias('blobs', 'stable', 2)
  await client.deploy({ model: 'blobs', version: 1, fleet: 'shop' })
  const devices = [await loop.device({ device: 'till-1' }), await loop.device({ device: 'till-2' })]
  await Promise.all(devices.map((device) => untilRuns(device, first.version.manifestDigest)))
  for (let i = 0; i < FED; i += 1)
    await Promise.all(devices.map((device, drift) => device.infer('blobs', rowOf(i, 4 * drift))))
  for (const device of devices) await untilDelivered(device)
  const verdictOf = async (device: TestDevice) =>
    (await loop.client.drift()).find((verdict) => verdict.device === device.id)
  for (const device of devices)
    await eventually(`a verdict on ${device.id}`, async () => ((await verdictOf(device))?.looks ?? 0) > 0)
  expect(await verdictOf(devices[1]!)).toMatchObject({ flagged: true, rows: FED })
  const before = await knowledge(client)
  expect(before.model.versions.map(({ version }) => version)).toEqual([1, 2])
  expect(before.audit.map(({ action }) => action)).toEqual(
    expect.arrayContaining(['job.submit', 'version.register', 'alias.set', 'desired.set']),
  )

  const traffic = devices.map((device) => infer(device, 'blobs'))
  await loop.cloud.stop(signal)
  const answered = traffic.map((each) => each.answered)
  await eventually('inferences without a cloud', () => traffic.every((each, i) => each.answered > answered[i]! + 30))
  await loop.restartCloud()
  expect(await knowledge(loop.client)).toEqual(before)

  for (const [i, device] of devices.entries()) {
    const more = await traffic[i]!.stop()
    await untilDelivered(device)
    await eventually('what it saw meanwhile', async () => (await verdictOf(device))?.rows === FED + more)
    expect((await device.status()).models.blobs).toMatchObject({ inferences: FED + more, errors: 0 })
  }
  await loop.client.deploy({ model: 'blobs', version: 'stable', fleet: 'shop' })
  await Promise.all(devices.map((device) => untilRuns(device, second.version.manifestDigest)))
  expect(await train(loop.cloud.url, BLOBS)).toMatchObject({ created: false, version: first.version })
}

async function untilRuns(device: TestDevice, manifestDigest: string): Promise<void> {
  await device.untilModel('blobs', (now) => now.status === 'active' && now.manifestDigest === manifestDigest, 30_000)
}

async function using(options: Parameters<typeof startLoop>[0], run: (loop: Loop) => Promise<void>): Promise<void> {
  const loop = await startLoop({ roles, ...options })
  try {
    await run(loop)
  } finally {
    await loop.close()
  }
}

const title = (signal: string) =>
  `knows after a ${signal} all that it knew; devices go on meanwhile, deliver afterwards, and take a new version`

describe.concurrent('a cloud that is started again', () => {
  it(title('SIGTERM'), () => using({}, (loop) => restart(loop, 'SIGTERM')), 300_000)
  it(title('SIGKILL'), () => using({}, (loop) => restart(loop, 'SIGKILL')), 300_000)

  describeWithServer('nats-server', 'on NATS', (natsServer) => {
    describeWithServer('postgres', 'and PostgreSQL', (path) => {
      it(title('SIGKILL'), async () => {
        const postgres = await startPostgres(path)
        try {
          await using({ natsServer, postgres: postgres.url }, (loop) => restart(loop, 'SIGKILL'))
        } finally {
          await postgres.close()
        }
      }, 300_000)
    })
  })

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'goes on with the job that it worked on at a %s',
    async (signal) => {
      await using({}, async (loop) => {
        const training = train(loop.cloud.url, LONG)
        training.catch(() => undefined)
        await eventually('a job under way', async () => {
          const [job] = await loop.client.jobs()
          return job?.status === 'running' && job.progress?.epoch !== undefined
        })
        const [{ id } = { id: '' }] = await loop.client.jobs()
        await loop.cloud.stop(signal)
        await loop.restartCloud()
        expect(await training).toMatchObject({ job: id, created: true, version: { version: 1 } })
        expect(await loop.client.job(id)).toMatchObject({ status: 'finished' })
        expect(await loop.client.run(id)).toMatchObject({ status: 'finished' })
      })
    },
    300_000,
  )
})
