import type { CloudLink, EdgeLink } from '@tideway/core'
import type { DeviceIdentity, TransportSetup } from '@tideway/test/contract/transport'
import { startCloudHttp } from '@tideway/test/support/cloud-http'
import mqtt from 'mqtt'
import { connectCloudMqtt } from './cloud.js'
import { connectEdgeMqtt } from './edge.js'

/** A broker of some kind, for the contract. */
export interface BrokerUnderTest {
  url(): string
  cloudCredentials(): { username?: string; password?: string }
  /** Of every device; left out where devices need none. */
  readonly devicePassword?: string
  interrupt(meanwhile?: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** Both links over the broker, and the HTTP half from memory; devices find the broker by asking the cloud. */
export async function mqttSetup(broker: BrokerUnderTest): Promise<TransportSetup> {
  const http = await startCloudHttp({ transport: 'mqtt', mqttUrl: broker.url() })
  const quick = { maxBackoffMs: 300 }
  const secret = broker.devicePassword === undefined ? {} : { password: broker.devicePassword }
  return {
    openCloud: (): Promise<CloudLink> =>
      connectCloudMqtt({ url: broker.url(), ...broker.cloudCredentials(), ...quick }),
    openEdge: (identity: DeviceIdentity): EdgeLink =>
      connectEdgeMqtt({ cloudUrl: http.url, ...identity, ...quick, ...secret }),
    storeDesired: (target, desired) => http.setDesired(target, desired),
    storeChunk: (sha256, bytes) => void http.chunks.set(sha256, bytes),
    async publishRaw({ fleet, device }, subject, payload) {
      const name = `${fleet}/${device}`
      const client = await mqtt.connectAsync(broker.url(), {
        clientId: name,
        username: name,
        ...secret,
        protocolVersion: 4,
        reconnectPeriod: 0,
      })
      const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
      const sent = client.publishAsync(subject.replaceAll('.', '/'), Buffer.from(payload), { qos: 1 })
      await Promise.race([sent, closed])
      client.end(true)
      await sent.catch(() => undefined)
    },
    async interrupt(meanwhile) {
      await broker.interrupt(meanwhile)
      http.wire = { transport: 'mqtt', mqttUrl: broker.url() }
    },
    async close() {
      await http.close()
      await broker.close()
    },
  }
}
