import { idSchema, subjects, topicOf } from '@tideway/core'

/** Who is connected: the cloud's own link, or a device by its identity. */
export type Principal =
  | { readonly kind: 'cloud'; readonly username: string }
  | { readonly kind: 'device'; readonly username: string; readonly fleet: string; readonly device: string }

/** A device's identity from its MQTT user name `<fleet>/<device>`; undefined for anything else. */
export function identityOf(username: string): { fleet: string; device: string } | undefined {
  const [fleet, device, ...rest] = username.split('/')
  if (rest.length > 0 || !idSchema.safeParse(fleet).success || !idSchema.safeParse(device).success) return undefined
  return { fleet: fleet!, device: device! }
}

/** Devices publish what they say of themselves; desired state and acknowledgements are the cloud's alone. */
export function mayPublish(who: Principal, topic: string): boolean {
  if (who.kind === 'cloud') return topic.startsWith('tideway/v1/')
  const { fleet, device } = who
  return [subjects.report(fleet, device), subjects.reported(fleet, device), subjects.presence(fleet, device)]
    .map(topicOf)
    .includes(topic)
}

/** Devices read what is addressed to them, by exact topic: no wildcards. */
export function maySubscribe(who: Principal, filter: string): boolean {
  if (who.kind === 'cloud') return filter.startsWith('tideway/v1/')
  const { fleet, device } = who
  return [subjects.desiredDevice(fleet, device), subjects.desiredDefault(fleet), subjects.ack(fleet, device)]
    .map(topicOf)
    .includes(filter)
}
