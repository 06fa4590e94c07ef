import { type EmbeddedBroker, startBroker } from '@tideway/broker-aedes'
import { subjects } from '@tideway/core'
import { transportContract, transportDevices, transportFleets } from '@tideway/test/contract/transport'
import { startMosquitto } from '@tideway/test/support/mosquitto'
import { startNats } from '@tideway/test/support/nats'
import { describeWithServer } from '@tideway/test/support/servers'
import { mqttSetup } from './setup.fixture.js'

transportContract('MQTT through the embedded broker', {
  async setup() {
    let broker: EmbeddedBroker = await startBroker()
    return mqttSetup({
      url: () => broker.url,
      cloudCredentials: () => broker.cloudCredentials,
      async interrupt(meanwhile) {
        // A cloud that restarts would have new credentials and a new link: here only the broker's port goes away.
        const { port } = new URL(broker.url)
        const { cloudCredentials } = broker
        await broker.close()
        await meanwhile?.()
        broker = await startBroker({ port: Number(port), cloudCredentials })
      },
      close: () => broker.close(),
    })
  },
})

describeWithServer('mosquitto', 'Mosquitto', (path) => {
  transportContract('MQTT through Mosquitto with access rules', {
    async setup() {
      const mosquitto = await startMosquitto(path, transportFleets)
      return mqttSetup({
        url: () => mosquitto.url,
        cloudCredentials: () => ({ username: mosquitto.cloudUsername }),
        interrupt: (meanwhile) => mosquitto.restart(meanwhile),
        close: () => mosquitto.close(),
      })
    },
  })
})

describeWithServer('nats-server', "NATS's MQTT listener", (path) => {
  transportContract("MQTT through NATS's listener with permissions", {
    async setup() {
      const users = transportDevices.map(({ fleet, device }) => ({
        user: `${fleet}/${device}`,
        password: 'secret',
        permissions: {
          publish: [subjects.report, subjects.reported, subjects.presence].map((of) => of(fleet, device)),
          subscribe: [
            subjects.desiredDevice(fleet, device),
            subjects.desiredDefault(fleet),
            subjects.ack(fleet, device),
            // The server's own, by which it delivers QoS 1.
            '$MQTT.sub.>',
          ],
        },
      }))
      const authorization = { users: [{ user: 'tideway-cloud', password: 'secret' }, ...users] }
      const nats = await startNats(path, { mqtt: true, config: `authorization: ${JSON.stringify(authorization)}` })
      return mqttSetup({
        url: () => nats.mqttUrl ?? '',
        cloudCredentials: () => ({ username: 'tideway-cloud', password: 'secret' }),
        devicePassword: 'secret',
        async interrupt(meanwhile) {
          await nats.stop()
          await meanwhile?.()
          await nats.start()
        },
        close: () => nats.close(),
      })
    },
  })
})
