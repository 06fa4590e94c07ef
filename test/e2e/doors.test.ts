import { connect as connectNats, type NatsConnection } from '@nats-io/transport-node'
import { subjects, topicOf } from '@tideway/core'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { flood, floodSocket, grownBytes } from '../support/flood.js'
import { goodReport, hostileBodies } from '../support/hostile.js'
import { FLEET, type Loop, START_MS, startLoop, type TestDevice } from '../support/loop.js'
import { eventually, type RunningProcess } from '../support/process.js'
import { describeWithServer } from '../support/servers.js'
import { registerVersion, type TestVersion } from '../support/version.js'

const MEBIBYTE = 1024 ** 2
/** What a process may grow by while it refuses a gigabyte: its largest bodies, and what is not yet collected. */
const MAX_GROWN_BYTES = 128 * MEBIBYTE
const DIGEST = '0'.repeat(64)

let loop: Loop
let device: TestDevice
let version: TestVersion

async function start(natsServer?: string): Promise<void> {
  loop = await startLoop({ natsServer })
  device = await loop.device({ device: 'till-1' })
  version = await registerVersion(loop.client, 'line', { seed: 1 })
  await loop.client.deploy({ model: 'line', version: 'latest', fleet: FLEET })
  await device.untilActive(version)
}

/** The same processes as at the start, and they do their work. */
async function expectWell(): Promise<void> {
  for (const { pid } of [loop.cloud, device]) expect(process.kill(pid, 0)).toBe(true)
  expect(await loop.client.ready()).toMatchObject({ ready: true })
  expect(await loop.client.device('till-1')).toMatchObject({ fleet: FLEET })
  expect(await device.infer('line', version.input)).toHaveLength(version.answer.length)
}

/** How often a process logged that it dropped something. */
function drops({ lines }: RunningProcess): number {
  return lines.filter((line) => line.includes('message dropped')).length
}

describe('the doors of a cloud with its embedded broker, and of a device', () => {
  beforeAll(() => start(), START_MS)
  afterEach(expectWell)
  afterAll(() => loop?.close())

  interface Operation {
    readonly method: string
    readonly path: string
    readonly takesJson: boolean
    /** Whether nothing is a body, too. */
    readonly optional: boolean
  }
  async function operations(): Promise<Operation[]> {
    type Body = { required?: boolean; content: Record<string, unknown> }
    type Document = { paths: Record<string, Record<string, { requestBody?: Body }>> }
    const { paths } = (await (await fetch(`${loop.cloud.url}/openapi.json`)).json()) as Document
    return Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { requestBody }]) => ({
        method: method.toUpperCase(),
        path,
        takesJson: requestBody?.content['application/json'] !== undefined,
        optional: requestBody?.required === false,
      })),
    )
  }
  const filled = (path: string) =>
    path
      .replace('{sha256}', DIGEST)
      .replace('{version}', '1')
      .replace('{model}', 'line')
      .replace('{id}', 'till-1')
      .replace(/\{\w+\}/g, 'name')

  async function statusOf(url: string, init: RequestInit): Promise<number> {
    const response = await fetch(url, init)
    await response.arrayBuffer()
    return response.status
  }

  it('refuse every body that is malformed or of a wrong shape, on each route that takes one', async () => {
    const routes = (await operations()).filter(({ takesJson }) => takesJson)
    expect(routes.length).toBeGreaterThan(10)
    const doors = [
      ...routes.map(({ method, path, optional }) => ({ method, url: loop.cloud.url + filled(path), optional })),
      { method: 'POST', url: `${device.url}/v2/models/line/infer`, optional: false },
    ]
    const headers = { 'content-type': 'application/json' }
    for (const { method, url, optional } of doors)
      for (const [what, body] of Object.entries(hostileBodies)) {
        if (optional && body.byteLength === 0) continue
        const status = await statusOf(url, { method, headers, body: body as BodyInit })
        expect([method, url, what, Math.floor(status / 100)]).toEqual([method, url, what, 4])
      }
  })

  it('refuse names and queries that are none, on every route', async () => {
    const names = ['..%2F..%2Fetc%2Fpasswd', '%00', '__proto__', 'a'.repeat(5_000), "'%20or%201=1--", '%F0%9F%92%A9']
    const routes = (await operations()).filter(({ path }) => path.includes('{'))
    for (const { method, path } of routes)
      for (const name of names) {
        const init = method === 'GET' || method === 'HEAD' ? { method } : { method, body: '{}' }
        const status = await statusOf(loop.cloud.url + path.replace(/\{\w+\}/g, name), init)
        expect([method, path, name, Math.floor(status / 100)]).toEqual([method, path, name, 4])
      }
    for (const query of ['limit=-1', 'limit=x', 'surprise=1', 'fleet=..', 'limit=1e9'])
      expect([query, await statusOf(`${loop.cloud.url}/v1/audit?${query}`, {})]).toEqual([query, 400])
  })

  it('refuse octets that are not what their name says', async () => {
    const headers = { 'content-type': 'application/octet-stream' }
    for (const path of [`/v1/chunks/${DIGEST}`, `/v1/blobs/${DIGEST}`])
      expect(await statusOf(loop.cloud.url + path, { method: 'PUT', headers, body: 'other bytes' })).toBe(422)
    expect(await loop.client.missingChunks([DIGEST])).toEqual([DIGEST])
  })

  const largeDoors = [
    ['POST', 'cloud', '/v1/jobs', 'application/json'],
    ['POST', 'cloud', '/v1/devices/till-1/reports', 'application/json'],
    ['POST', 'cloud', '/v2/models/line/infer', 'application/json'],
    ['PUT', 'cloud', `/v1/chunks/${DIGEST}`, 'application/octet-stream'],
    ['POST', 'device', '/v2/models/line/infer', 'application/json'],
  ] as const

  it.each(largeDoors)('refuse 1 GB, declared or not: %s to the %s at %s', async (method, who, path, contentType) => {
    const { pid, url } = who === 'cloud' ? loop.cloud : device
    const grown = await grownBytes(pid, async () => {
      for (const declared of [true, false]) {
        const { status, body, sentBytes } = await flood(url + path, { method, contentType, declared })
        expect([status, body.includes('TOO_LARGE')]).toEqual([413, true])
        expect(sentBytes).toBeLessThan(1024 * MEBIBYTE)
      }
    })
    expect(grown).toBeLessThan(MAX_GROWN_BYTES)
  })

  it('refuse a blob that is declared larger than any may be', async () => {
    const order = { method: 'PUT', contentType: 'application/octet-stream', bytes: 3 * 1024 ** 3, declared: true }
    expect(await flood(`${loop.cloud.url}/v1/blobs/${DIGEST}`, order)).toMatchObject({ status: 413 })
  })

  describe('over MQTT', () => {
    let mqtt: MqttClient
    const brokerPort = () => Number(new URL(loop.cloud.mqttUrl!).port)
    const identity = `${FLEET}/evil`
    beforeAll(async () => {
      mqtt = await connectAsync(loop.cloud.mqttUrl!, { clientId: identity, username: identity, protocolVersion: 4 })
    })
    afterAll(() => mqtt?.endAsync(true))

    it('drop and count what is malformed, and take the next good report, unknown fields and all', async () => {
      const before = drops(loop.cloud.process)
      const all = [subjects.report(FLEET, 'evil'), subjects.reported(FLEET, 'evil')]
      const payloads = Object.values(hostileBodies)
      for (const topic of all.map(topicOf))
        for (const payload of payloads) await mqtt.publishAsync(topic, Buffer.from(payload), { qos: 1 })
      await eventually('all are counted', () => drops(loop.cloud.process) >= before + all.length * payloads.length)
      await mqtt.subscribeAsync(topicOf(subjects.ack(FLEET, 'evil')))
      const acknowledged = new Promise<Buffer>((resolve) => mqtt.once('message', (_topic, payload) => resolve(payload)))
      const report = JSON.stringify(goodReport(FLEET, 'evil', 1))
      await mqtt.publishAsync(topicOf(subjects.report(FLEET, 'evil')), report, { qos: 1 })
      expect(JSON.parse((await acknowledged).toString())).toMatchObject({ boot: 'boot', seq: 1 })
      expect(await loop.client.reportCounts({ device: 'evil' })).toEqual({ event: 1 })
    })

    it('close a connection that speaks something else, or announces a packet that is too large', async () => {
      // Type PUBLISH with the largest length that MQTT can say, 256 MiB, before and after a CONNECT.
      const publish = Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])
      const id = Buffer.from(`${FLEET}/evil-2`)
      const named = Buffer.concat([Buffer.from([0, id.length]), id])
      const head = Buffer.concat([Buffer.from([0, 4]), Buffer.from('MQTT'), Buffer.from([4, 0x82, 0, 30])])
      const body = Buffer.concat([head, named, named])
      const connect = Buffer.concat([Buffer.from([0x10, body.length]), body])
      const garbage = Buffer.from('GET / HTTP/1.1\r\nHost: broker\r\n\r\n')
      const grown = await grownBytes(loop.cloud.pid, async () => {
        for (const first of [garbage, publish, Buffer.concat([connect, publish])])
          expect(await floodSocket(brokerPort(), first)).toBeLessThan(64 * MEBIBYTE)
      })
      expect(grown).toBeLessThan(MAX_GROWN_BYTES)
    })
  })
})

describeWithServer('nats-server', 'the doors of a cloud and a device on NATS', (path) => {
  let nats: NatsConnection
  beforeAll(async () => {
    await start(path)
    nats = await connectNats({ servers: loop.nats!.url })
  }, START_MS)
  afterEach(expectWell)
  afterAll(async () => {
    await nats?.close()
    await loop?.close()
  })

  const payloads = () => [...Object.values(hostileBodies), Buffer.alloc(MEBIBYTE - 1024, ' ')]
  const withPayloads = (subject: string) => payloads().map((payload) => ({ subject, payload }))

  it('drop and count what is malformed at the cloud, and take the next good report, unknown fields and all', async () => {
    const before = drops(loop.cloud.process)
    const all = [subjects.report(FLEET, 'evil'), subjects.reported(FLEET, 'evil')]
    const grown = await grownBytes(loop.cloud.pid, async () => {
      // One after another: of what a device says that it runs, the stream keeps the last only.
      for (const [i, { subject, payload }] of all.flatMap(withPayloads).entries()) {
        nats.publish(subject, payload)
        await eventually(`${subject} is counted`, () => drops(loop.cloud.process) > before + i)
      }
    })
    expect(grown).toBeLessThan(MAX_GROWN_BYTES)
    nats.publish(subjects.report(FLEET, 'evil'), JSON.stringify(goodReport(FLEET, 'evil', 1)))
    await expect.poll(() => loop.client.reportCounts({ device: 'evil' })).toEqual({ event: 1 })
  })

  it('drop what is malformed at the device, which takes the next order', async () => {
    const before = drops(device.process)
    const all = [subjects.desiredDefault(FLEET), subjects.desiredDevice(FLEET, 'till-1'), subjects.ack(FLEET, 'till-1')]
    const grown = await grownBytes(device.pid, async () => {
      for (const { subject, payload } of all.flatMap(withPayloads)) nats.publish(subject, payload)
      await nats.flush()
      await eventually('all are dropped', () => drops(device.process) >= before + all.length * payloads().length)
    })
    expect(grown).toBeLessThan(MAX_GROWN_BYTES)
    version = await registerVersion(loop.client, 'line', { seed: 2 })
    await loop.client.deploy({ model: 'line', version: 'latest', fleet: FLEET, devices: ['till-1'] })
    await device.untilActive(version)
  })
})
