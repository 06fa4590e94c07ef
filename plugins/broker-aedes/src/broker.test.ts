import { createConnection } from 'node:net'
import { createHost, limits, tokens } from '@tideway/core'
import { eventually } from '@tideway/test/support/process'
import mqtt, { type MqttClient } from 'mqtt'
import { afterEach, expect, it } from 'vitest'
import { type BrokerOptions, type EmbeddedBroker, startBroker } from './broker.js'
import { brokerAedes } from './plugin.js'

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close()
})

async function start(options: BrokerOptions = {}): Promise<EmbeddedBroker> {
  const broker = await startBroker(options)
  open.push(broker)
  return broker
}

async function client(broker: EmbeddedBroker, username: string, more: mqtt.IClientOptions = {}): Promise<MqttClient> {
  const connection = await mqtt.connectAsync(broker.url, {
    username,
    clientId: username,
    protocolVersion: 4,
    reconnectPeriod: 0,
    ...more,
  })
  connection.on('error', () => undefined)
  open.push({ close: () => connection.endAsync(true) })
  return connection
}

/** Resolves when the connection is gone, with an error or without. */
function closeOf(connection: MqttClient): Promise<void> {
  return new Promise((resolve) => connection.once('close', () => resolve()))
}

it('refuses to listen beyond loopback without credentials', async () => {
  await expect(startBroker({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'CREDENTIALS_REQUIRED' })
  await expect(startBroker({ host: '192.0.2.1' })).rejects.toMatchObject({ code: 'CREDENTIALS_REQUIRED' })
  const broker = await start({ host: '0.0.0.0', authenticateDevice: () => false })
  expect(broker.url).toMatch(/^mqtt:\/\/0\.0\.0\.0:\d+$/)
})

it('says BROKER_LISTEN_FAILED for a port in use', async () => {
  const { port } = new URL((await start()).url)
  await expect(startBroker({ port: Number(port) })).rejects.toMatchObject({ code: 'BROKER_LISTEN_FAILED' })
})

it('refuses clients without an identity, with another client id, or posing as the cloud', async () => {
  const broker = await start()
  await expect(client(broker, '', { clientId: 'x' })).rejects.toThrow(/Not authorized/)
  await expect(client(broker, 'no-slash')).rejects.toThrow(/Not authorized/)
  await expect(client(broker, 'Fleet/Device')).rejects.toThrow(/Not authorized/)
  await expect(client(broker, 'fleet/device', { clientId: 'fleet/other' })).rejects.toThrow(/Not authorized/)
  await expect(client(broker, 'tideway-cloud', { password: 'guess' })).rejects.toThrow(/Not authorized/)
  expect(broker.stats().refused).toEqual({ MQTT_CONNECT_REFUSED: 5 })
})

it('asks for the password of a device where there is someone to ask', async () => {
  const broker = await start({
    authenticateDevice: async ({ fleet, device }, password) => password === `${fleet} ${device}`,
  })
  await expect(client(broker, 'fleet/a')).rejects.toThrow(/Not authorized/)
  const connection = await client(broker, 'fleet/a', { password: 'fleet a' })
  expect(connection.connected).toBe(true)
})

it('closes the connection of a device that publishes what is not its own, and passes nothing on', async () => {
  const broker = await start()
  const cloud = await client(broker, broker.cloudCredentials.username, { password: broker.cloudCredentials.password })
  const seen: string[] = []
  cloud.on('message', (topic) => seen.push(topic))
  await cloud.subscribeAsync('tideway/v1/#', { qos: 1 })
  const foreign = [
    'tideway/v1/report/fleet/b',
    'tideway/v1/desired/fleet/device/a',
    'tideway/v1/desired/fleet/default',
    'tideway/v1/ack/fleet/a',
    'tideway/v1/report/fleet/a/more',
    'elsewhere',
  ]
  for (const topic of foreign) {
    const device = await client(broker, 'fleet/a')
    const closed = closeOf(device)
    device.publish(topic, 'x', { qos: 1 })
    await closed
  }
  const device = await client(broker, 'fleet/a')
  await device.publishAsync('tideway/v1/report/fleet/a', 'x', { qos: 1 })
  await eventually('its own report', () => seen.length > 0)
  expect(seen).toEqual(['tideway/v1/report/fleet/a'])
  expect(broker.stats().refused).toEqual({ MQTT_PUBLISH_REFUSED: foreign.length })
})

it('passes on the will of a device on its own presence only', async () => {
  const broker = await start()
  const cloud = await client(broker, broker.cloudCredentials.username, { password: broker.cloudCredentials.password })
  const seen: string[] = []
  cloud.on('message', (topic) => seen.push(topic))
  await cloud.subscribeAsync('tideway/v1/#', { qos: 1 })
  for (const name of ['b', 'a']) {
    const will = { topic: `tideway/v1/presence/fleet/a`, payload: 'gone', qos: 0 as const, retain: false }
    const device = await client(broker, `fleet/${name}`, { will })
    device.stream.destroy()
    await eventually('it left', () => broker.stats().clients === 1)
  }
  await eventually('the will of a', () => seen.length > 0)
  expect(seen).toEqual(['tideway/v1/presence/fleet/a'])
})

it('lets a device subscribe to what is addressed to it, by exact topic', async () => {
  const broker = await start()
  const device = await client(broker, 'fleet/a')
  const own = ['tideway/v1/ack/fleet/a', 'tideway/v1/desired/fleet/default', 'tideway/v1/desired/fleet/device/a']
  for (const topic of own) await device.subscribeAsync(topic, { qos: 1 })
  for (const topic of ['#', 'tideway/v1/+/fleet/a', 'tideway/v1/ack/fleet/b', 'tideway/v1/report/fleet/a', '$SYS/#'])
    await expect(device.subscribeAsync(topic, { qos: 1 })).rejects.toThrow()
  expect(device.connected).toBe(true)
})

it('keeps neither sessions nor retained messages', async () => {
  const broker = await start()
  const { username, password } = broker.cloudCredentials
  const cloud = await client(broker, username, { password })
  await cloud.publishAsync('tideway/v1/ack/fleet/a', 'old', { qos: 1, retain: true })
  const first = await client(broker, 'fleet/a', { clean: false })
  await first.subscribeAsync('tideway/v1/ack/fleet/a', { qos: 1 })
  await first.endAsync()
  await cloud.publishAsync('tideway/v1/ack/fleet/a', 'missed', { qos: 1 })
  const seen: string[] = []
  const second = mqtt.connect(broker.url, {
    username: 'fleet/a',
    clientId: 'fleet/a',
    clean: false,
    protocolVersion: 4,
    reconnectPeriod: 0,
  })
  open.push({ close: () => second.endAsync(true) })
  second.on('message', (_topic, payload) => seen.push(payload.toString()))
  const connack = await new Promise<mqtt.IConnackPacket>((resolve) => second.once('connect', resolve))
  expect(connack.sessionPresent).toBe(false)
  await second.subscribeAsync('tideway/v1/ack/fleet/a', { qos: 1 })
  await cloud.publishAsync('tideway/v1/ack/fleet/a', 'new', { qos: 1 })
  await eventually('the new one', () => seen.length > 0)
  expect(seen).toEqual(['new'])
})

it('refuses a packet of 200 MB at its header, and garbage, and goes on', async () => {
  const broker = await start()
  const device = await client(broker, 'fleet/a')
  const closed = closeOf(device)
  const hugeHeader = Buffer.from([0x32, 0x80, 0x80, 0x80, 0x64])
  device.stream.write(hugeHeader)
  device.stream.write(Buffer.alloc(64 * 1024))
  await closed
  expect(broker.stats().refused).toEqual({ MQTT_PACKET_TOO_LARGE: 1 })

  const { port } = new URL(broker.url)
  const socket = createConnection({ host: '127.0.0.1', port: Number(port) })
  socket.on('error', () => undefined)
  const ended = new Promise((resolve) => socket.once('close', resolve))
  socket.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
  await ended

  const next = await client(broker, 'fleet/a')
  await next.publishAsync('tideway/v1/report/fleet/a', Buffer.alloc(limits.maxReportBytes), { qos: 1 })
})

it('gives the broker as a plugin, with its address once the host has started', async () => {
  const host = createHost()
  host.use(brokerAedes({ port: 0 }))
  const broker = host.get(tokens.broker)
  expect(broker.url).toBeUndefined()
  await host.start()
  expect(broker.url).toMatch(/^mqtt:\/\/127\.0\.0\.1:\d+$/)
  expect(broker.cloudCredentials?.password).toHaveLength(43)
  await host.stop()
  expect(broker.url).toBeUndefined()
})
