import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Envelope } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { type Loop, startLoop } from '../support/loop.js'
import { startMosquitto } from '../support/mosquitto.js'
import { startNats } from '../support/nats.js'
import { eventually } from '../support/process.js'
import { describeWithServer } from '../support/servers.js'
import { BLOBS, expectEachOnce, infer, rowsOf, storedReports, train, untilDelivered } from '../support/traffic.js'

const HELD_COMMITS = fileURLToPath(new URL('fixtures/held-commits.ts', import.meta.url))
const options = {
  roles: ['api', 'monitor', 'controller', 'trainer'],
  args: ['--config', HELD_COMMITS],
} as const
const title = 'the cloud SIGKILLed before and after a commit whose reports the broker has taken: each is counted once'

/** Under traffic: killed with a commit begun and not done, then with one done and not acknowledged. */
async function killTwice(loop: Loop): Promise<void> {
  const { dir } = loop.cloud
  const { version } = await train(loop.cloud.url, BLOBS)
  await loop.client.deploy({ model: 'blobs', version: 'latest', fleet: 'shop' })
  const device = await loop.device({ device: 'till-1', reportEverySeconds: 0.5 })
  await device.untilModel('blobs', (now) => now.manifestDigest === version.manifestDigest)
  const traffic = infer(device, 'blobs')

  for (const moment of ['before', 'after']) {
    await writeFile(join(dir, `hold-${moment}`), '')
    await eventually(`a commit held ${moment}`, () => existsSync(join(dir, 'held')), 60_000)
    const held = JSON.parse(await readFile(join(dir, 'held'), 'utf8')) as Envelope[]
    // The store's commit is what empties the outbox: the broker has these, and the device keeps them.
    expect((await device.status()).outbox.pending).toBeGreaterThanOrEqual(held.length)
    await loop.cloud.stop('SIGKILL')
    for (const name of ['held', `hold-${moment}`]) await rm(join(dir, name))
    await loop.restartCloud()
  }

  const answered = await traffic.stop()
  await untilDelivered(device)
  expect((await device.status()).outbox.dropped).toBe(0)
  await device.stop()
  await loop.cloud.stop()
  const reports = await storedReports({ dir })
  expectEachOnce(reports)
  expect(rowsOf(reports, device.id)).toBe(answered)
}

async function using(loop: Loop, run: (loop: Loop) => Promise<void>): Promise<void> {
  try {
    await run(loop)
  } catch (error) {
    // A cloud whose commit is held cannot end by itself, and what went wrong is to be seen.
    await loop.cloud.stop('SIGKILL')
    throw error
  } finally {
    await loop.close()
  }
}

describe.concurrent('reports between a broker and the store', () => {
  describe('embedded broker', () => {
    it(title, async () => using(await startLoop(options), killTwice), 300_000)
  })

  describeWithServer('nats-server', 'NATS', (natsServer) => {
    it(title, async () => using(await startLoop({ ...options, natsServer }), killTwice), 300_000)
  })

  describeWithServer('mosquitto', 'Mosquitto', (path) => {
    it(title, async () => {
      const broker = await startMosquitto(path, ['shop'])
      try {
        const url = broker.url.replace('://', `://${broker.cloudUsername}:none@`)
        await using(await startLoop({ ...options, mqtt: url }), async (loop) => {
          // Devices are told where the broker is, not how the cloud gets in.
          expect(await loop.client.wire()).toEqual({ transport: 'mqtt', mqttUrl: broker.url })
          await killTwice(loop)
        })
      } finally {
        await broker.close()
      }
    }, 300_000)
  })

  describeWithServer('nats-server', "NATS's MQTT listener", (path) => {
    it(title, async () => {
      const nats = await startNats(path, { mqtt: true })
      try {
        await using(await startLoop({ ...options, mqtt: nats.mqttUrl! }), killTwice)
      } finally {
        await nats.close()
      }
    }, 300_000)
  })
})
