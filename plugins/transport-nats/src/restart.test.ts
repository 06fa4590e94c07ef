import { type Ack, type Envelope, limits } from '@tideway/core'
import { startNats, type TestNats } from '@tideway/test/support/nats'
import { eventually } from '@tideway/test/support/process'
import { describeWithServer } from '@tideway/test/support/servers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectCloudNats } from './cloud.js'
import { connectEdgeNats } from './edge.js'

const OUTAGE_MS = 10_000

describeWithServer('nats-server', 'nats-server stopped under traffic', (path) => {
  let nats: TestNats
  beforeAll(async () => {
    nats = await startNats(path)
  })
  afterAll(() => nats?.close())

  for (const signal of ['SIGTERM', 'SIGKILL'] as const)
    it(`counts every report once when the server is away for 10 s (${signal})`, { timeout: 300_000 }, async () => {
      const fleet = `fleet-${signal.toLowerCase()}`
      const cloud = await connectCloudNats({ url: nats.url, ackWaitMs: 5_000 })
      // The store's rule: (device, boot, seq) is stored once; the highest contiguous sequence is the answer.
      const stored = new Map<string, Set<number>>()
      let offered = 0
      const acksOf = (batch: readonly Envelope[]) =>
        [...new Set(batch.map((envelope) => envelope.device))].map((device) => {
          const seqs = stored.get(device)!
          let seq = 0
          while (seqs.has(seq + 1)) seq += 1
          return { fleet, device, ack: { v: 1 as const, boot: 'boot', seq } }
        })
      await cloud.consumeReports(async (batch) => {
        expect(batch.length).toBeLessThanOrEqual(limits.maxReportsPerRequest)
        for (const { device, seq } of batch) {
          offered += 1
          stored.set(device, (stored.get(device) ?? new Set()).add(seq))
        }
        return acksOf(batch)
      })
      const devices = await Promise.all(['a', 'b', 'c', 'd'].map((device) => outboxDevice(nats.url, fleet, device)))
      const confirmed = () => devices.map((device) => device.acked())
      await eventually('traffic flows', () => confirmed().every((seq) => seq >= 20))

      await nats.stop(signal)
      const before = confirmed()
      await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS))
      await nats.start()
      await eventually('every device goes on', () => confirmed().every((seq, index) => seq >= before[index]! + 20))

      for (const device of devices) device.stopProducing()
      await eventually('every outbox is empty', () => devices.every((device) => device.acked() === device.produced()))
      for (const device of devices) {
        expect([...stored.get(device.id)!].toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: device.produced() }, (_, index) => index + 1),
        )
        await device.close()
      }
      const produced = devices.reduce((sum, device) => sum + device.produced(), 0)
      expect(offered).toBeGreaterThanOrEqual(produced)
      expect(cloud.stats().reportsDropped).toEqual({})
      await cloud.close()
    })
})

/** A device that makes a report every 20 ms and keeps each in its outbox until it is acknowledged. */
async function outboxDevice(url: string, fleet: string, id: string) {
  const link = connectEdgeNats({ url, fleet, device: id, timeoutMs: 1_000 })
  const outbox = new Map<number, Envelope>()
  let produced = 0
  let acked = 0
  await link.watchAcks((ack: Ack) => {
    acked = Math.max(acked, ack.seq)
    for (const seq of outbox.keys()) if (seq <= ack.seq) outbox.delete(seq)
  })
  const send = (envelope: Envelope) => void link.sendReport(envelope).catch(() => undefined)
  const resend = () => {
    for (const envelope of outbox.values()) send(envelope)
  }
  link.onConnect(resend)
  const producing = setInterval(() => {
    produced += 1
    const at = new Date().toISOString()
    const about = { fleet, device: id, boot: 'boot', seq: produced, from: at, to: at, sentAt: at }
    const envelope: Envelope = { v: 1, kind: 'event', schema: 1, body: {}, ...about }
    outbox.set(produced, envelope)
    send(envelope)
  }, 20)
  const resending = setInterval(resend, 2_000)
  return {
    id,
    produced: () => produced,
    acked: () => acked,
    stopProducing: () => clearInterval(producing),
    async close() {
      clearInterval(resending)
      await link.close()
    },
  }
}
