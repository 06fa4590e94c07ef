import { connect } from '@nats-io/transport-node'
import { type DeviceIdentity, transportContract, transportDevices } from '@tideway/test/contract/transport'
import { startNats } from '@tideway/test/support/nats'
import { describeWithServer } from '@tideway/test/support/servers'
import { connectCloudNats } from './cloud.js'
import { connectEdgeNats } from './edge.js'
import { edgePermissions } from './permissions.js'

describeWithServer('nats-server', 'NATS', (path) => {
  transportContract('NATS with JetStream and permissions', {
    async setup() {
      const users = transportDevices.map(({ fleet, device }) => ({
        user: `${fleet}/${device}`,
        password: 'secret',
        permissions: edgePermissions(fleet, device),
      }))
      const authorization = { users: [{ user: 'cloud', password: 'secret' }, ...users] }
      const nats = await startNats(path, { config: `authorization: ${JSON.stringify(authorization)}` })
      const quick = { url: nats.url, maxBackoffMs: 300, password: 'secret' }
      const nameOf = ({ fleet, device }: DeviceIdentity) => `${fleet}/${device}`
      return {
        openCloud: () => connectCloudNats({ ...quick, username: 'cloud' }),
        openEdge: (identity) => connectEdgeNats({ ...quick, ...identity, username: nameOf(identity) }),
        storeDesired: () => undefined,
        storeChunk: () => undefined,
        async publishRaw(as, subject, payload) {
          const connection = await connect({ servers: nats.url, user: nameOf(as), pass: 'secret' })
          connection.publish(subject, payload)
          await connection.drain()
        },
        async interrupt(meanwhile) {
          await nats.stop()
          await meanwhile?.()
          await nats.start()
        },
        close: () => nats.close(),
      }
    },
  })
})
