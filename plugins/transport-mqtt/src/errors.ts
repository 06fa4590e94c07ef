import { defineErrors, entry } from '@tideway/core'

/** Errors of the MQTT transport; an address never holds its credentials. */
export const { entries, errors } = defineErrors({
  MQTT_BROKER_MISSING: entry(
    500,
    () => 'the MQTT transport has neither a url nor a broker in this process',
    'Give transportMqtt({ url }), or register a broker plugin before it.',
  ),
  MQTT_SUBSCRIPTION_REFUSED: entry<{ url: string; topic: string }>(
    403,
    (d) => `the broker at ${d.url} refused a subscription to ${d.topic}`,
    "Allow it in the broker's access rules.",
  ),
  MQTT_ADDRESS_UNKNOWN: entry<{ url: string }>(
    503,
    (d) => `the cloud at ${d.url} names no MQTT address`,
    'Give mqttUrl, or start the cloud with an MQTT broker.',
  ),
  CLOUD_ANSWER_UNEXPECTED: entry<{ url: string; status: number; code: string }>(
    502,
    (d) => `${d.url} answered ${d.status} ${d.code}`.trimEnd(),
    'Check that the address is the HTTP address of a Tideway cloud, and its log; with 401 or 403, that TIDEWAY_API_KEY is a key ' +
      'of this device (`tideway keys create --role device --device FLEET/DEVICE`).',
  ),
})
