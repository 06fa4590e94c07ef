import { brokerAedes } from '@tideway/broker-aedes'
import { createHost, tokens } from '@tideway/core'
import { expect, it } from 'vitest'
import { transportMqtt } from './plugin.js'

it('connects to the broker in this process with the credentials that the broker made', async () => {
  const host = createHost()
  // Whatever their order: the broker starts first.
  host.use(transportMqtt(), brokerAedes({ port: 0 }))
  const link = host.get(tokens.cloudLink)
  expect(link.stats()).toEqual({ connected: false, reportsReceived: 0, reportsDropped: {} })
  await expect(link.watchReported(() => undefined)).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE' })
  await host.start()
  expect(link.stats().connected).toBe(true)
  expect(host.get(tokens.wire)).toMatchObject({ transport: 'mqtt', mqttUrl: host.get(tokens.broker).url })
  await host.stop()
  expect(link.stats().connected).toBe(false)
})

it('tells devices where the broker is, and not how the cloud gets in', () => {
  const host = createHost()
  host.use(transportMqtt({ url: 'mqtt://cloud:secret@broker.example:1883' }))
  expect(host.get(tokens.wire).mqttUrl).toBe('mqtt://broker.example:1883')
})

it('says MQTT_BROKER_MISSING without a url and without a broker', async () => {
  const host = createHost()
  host.use(transportMqtt())
  await expect(host.start()).rejects.toMatchObject({ cause: { code: 'MQTT_BROKER_MISSING' } })
})
