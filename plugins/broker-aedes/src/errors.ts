import { defineErrors, entry } from '@tideway/core'

/** Errors of the embedded broker. The codes of refusals are counted, not thrown: the device sees a closed connection. */
export const { entries, errors } = defineErrors({
  BROKER_LISTEN_FAILED: entry<{ host: string; port: number }>(
    500,
    (d) => `the MQTT broker cannot listen on ${d.host}:${d.port}`,
    'Free the port, or take another one (`tideway up --mqtt-port`, `broker.port` of a configuration; 0 takes any free port).',
  ),
  MQTT_CONNECT_REFUSED: entry<{ reason: string }>(
    401,
    (d) => `an MQTT client was refused: ${d.reason}`,
    'Devices connect with user name and client id `<fleet>/<device>`.',
  ),
  MQTT_PUBLISH_REFUSED: entry<{ username: string; topic: string }>(
    403,
    (d) => `${d.username} may not publish on ${d.topic}`,
    'A device publishes its own report, reported and presence topics only.',
  ),
  MQTT_PACKET_TOO_LARGE: entry<{ bytes: number; maxBytes: number }>(
    413,
    (d) => `an MQTT packet of ${d.bytes} bytes was refused; the limit is ${d.maxBytes}`,
    'Send large bodies as blobs over HTTP.',
  ),
})
