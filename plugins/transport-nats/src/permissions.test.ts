import { connect } from '@nats-io/transport-node'
import { subjects, toJsonBytes } from '@tideway/core'
import { startNats, type TestNats } from '@tideway/test/support/nats'
import { eventually } from '@tideway/test/support/process'
import { describeWithServer } from '@tideway/test/support/servers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectCloudNats } from './cloud.js'
import { connectEdgeNats } from './edge.js'
import { edgePermissions } from './permissions.js'

const fleet = 'shop'
const sha256 = 'c'.repeat(64)

describeWithServer('nats-server', 'permissions of a device', (path) => {
  let nats: TestNats
  const user = (device: string) =>
    `{ user: "${fleet}/${device}", password: "secret", permissions: ${JSON.stringify(edgePermissions(fleet, device))} }`
  beforeAll(async () => {
    nats = await startNats(path, {
      config: `authorization { users: [ { user: cloud, password: secret }, ${user('good')}, ${user('mallory')} ] }`,
    })
  })
  afterAll(() => nats?.close())

  const cloudOptions = () => ({ url: nats.url, username: 'cloud', password: 'secret' })
  // Credentials in the address, too.
  const edge = (device: string) =>
    connectEdgeNats({ url: nats.url.replace('://', `://${fleet}%2F${device}:secret@`), fleet, device })

  it('are enough for everything that a device does', async () => {
    const cloud = await connectCloudNats(cloudOptions())
    await cloud.putChunk(sha256, new Uint8Array([1, 2, 3]))
    await cloud.publishDesired({ fleet }, { v: 1, generation: 4, models: {}, issuedAt: new Date().toISOString() })
    await cloud.consumeReports(async (batch) =>
      batch.map(({ device, boot, seq }) => ({ fleet, device, ack: { v: 1, boot, seq } })),
    )
    const reported: number[] = []
    await cloud.watchReported(({ generation }) => reported.push(generation))

    const link = edge('good')
    const seen: number[] = []
    const acks: number[] = []
    await link.watchDesired(({ generation }) => seen.push(generation))
    await link.watchAcks(({ seq }) => acks.push(seq))
    await eventually('desired state', () => seen.includes(4))
    expect(await link.fetchChunk(sha256)).toEqual(new Uint8Array([1, 2, 3]))
    await link.sendReport(report('good', 1))
    await eventually('the acknowledgement', () => acks.includes(1))
    const at = new Date().toISOString()
    await link.setReported({ v: 1, device: 'good', fleet, generation: 4, models: {}, at })
    await eventually('reported state', () => reported.includes(4))
    await Promise.all([link.close(), cloud.close()])
  })

  it('refuse desired state, reports and acknowledgements under another name, and the inbox of another', async () => {
    const cloud = await connectCloudNats(cloudOptions())
    const seen: string[] = []
    await cloud.consumeReports(async (batch) => {
      seen.push(...batch.map((envelope) => `${envelope.device} ${envelope.seq}`))
      return []
    })
    const connection = await connect({ servers: nats.url, user: `${fleet}/mallory`, pass: 'secret' })
    const refused: string[] = []
    void (async () => {
      for await (const status of connection.status()) if (status.type === 'error') refused.push(status.error.message)
    })()
    const forbidden = [
      subjects.report(fleet, 'good'),
      subjects.desiredDefault(fleet),
      subjects.desiredDevice(fleet, 'good'),
      subjects.ack(fleet, 'good'),
      '$JS.API.STREAM.MSG.GET.TIDEWAY_REPORTS',
      '$JS.API.DIRECT.GET.TIDEWAY_CHUNKS',
      '$JS.API.STREAM.DELETE.TIDEWAY_CHUNKS',
    ]
    for (const subject of forbidden) connection.publish(subject, toJsonBytes(report('good', 9)))
    connection.subscribe('_INBOX_TIDEWAY.shop.good.>', { callback: () => undefined })
    connection.subscribe(subjects.reportAll, { callback: () => undefined })
    await eventually('all are refused', () => refused.length >= forbidden.length + 2)
    await connection.close()

    const link = edge('mallory')
    await eventually('its own report is taken', () =>
      link.sendReport(report('mallory', 1)).then(
        () => true,
        () => false,
      ),
    )
    await eventually('its own report', () => seen.includes('mallory 1'))
    expect(seen).not.toContain('good 9')
    await Promise.all([link.close(), cloud.close()])
  })
})

function report(device: string, seq: number) {
  const at = new Date().toISOString()
  const body = {}
  return {
    v: 1 as const,
    kind: 'event',
    device,
    fleet,
    boot: 'boot',
    seq,
    schema: 1,
    from: at,
    to: at,
    sentAt: at,
    body,
  }
}
