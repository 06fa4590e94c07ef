import { expect, it } from 'vitest'
import { startLoop } from '../support/loop.js'
import { eventually } from '../support/process.js'
import { describeWithServer } from '../support/servers.js'
import { BLOBS, expectEachOnce, infer, rowsOf, storedReports, train, untilDelivered } from '../support/traffic.js'

const OUTAGE_MS = 10_000

describeWithServer('nats-server', 'nats-server away for 10 seconds under traffic', (natsServer) => {
  // SIGTERM: it was stopped. SIGKILL: it fell over.
  it.concurrent.each(['SIGTERM', 'SIGKILL'] as const)(
    'after a %s devices go on inferring, come back, and every report is counted once',
    async (signal) => {
      const loop = await startLoop({ natsServer, roles: ['api', 'monitor', 'controller', 'trainer'] })
      try {
        const { client } = loop
        const { version } = await train(loop.cloud.url, BLOBS)
        await client.deploy({ model: 'blobs', version: 'latest', fleet: 'shop' })
        const devices = [
          await loop.device({ device: 'till-1', reportEverySeconds: 0.5 }),
          await loop.device({ device: 'till-2', reportEverySeconds: 0.5 }),
        ]
        for (const device of devices)
          await device.untilModel('blobs', (now) => now.manifestDigest === version.manifestDigest)
        const traffic = devices.map((device) => infer(device, 'blobs'))
        await eventually('reports before the outage', async () => ((await client.reportCounts()).profile ?? 0) >= 4)

        await loop.nats!.stop(signal)
        const stoppedAt = Date.now()
        await eventually('windows sealed through the outage', waitingWindows(10), 60_000)
        const [before, during] = [traffic.map(({ answered }) => answered), await client.reportCounts()]
        await loop.nats!.start()
        await eventually('inferences after the outage', () =>
          traffic.every(({ answered }, i) => answered > before[i]! + 20),
        )
        const answered = await Promise.all(traffic.map((each) => each.stop()))
        for (const device of devices) await untilDelivered(device)

        const counts = await client.reportCounts()
        expect(counts.profile).toBeGreaterThanOrEqual((during.profile ?? 0) + 20)
        for (const [i, device] of devices.entries()) {
          const status = await device.status()
          expect(status.outbox).toEqual({ pending: 0, bytes: 0, memoryOnly: 0, dropped: 0 })
          expect(status.models.blobs).toMatchObject({ inferences: answered[i], errors: 0 })
          await device.stop()
        }
        await loop.cloud.stop()
        const reports = await storedReports({ dir: loop.cloud.dir })
        expectEachOnce(reports)
        for (const [i, { id }] of devices.entries()) expect(rowsOf(reports, id)).toBe(answered[i])

        function waitingWindows(least: number) {
          return async () => {
            if (Date.now() - stoppedAt < OUTAGE_MS) return false
            const statuses = await Promise.all(devices.map((device) => device.status()))
            return statuses.every(({ outbox }) => outbox.pending >= least)
          }
        }
      } finally {
        await loop.close()
      }
    },
    300_000,
  )
})
