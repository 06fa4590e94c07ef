import { checkId } from '../nouns/id.js'

const ROOT = 'tideway.v1'

/** The subjects of the wire (DESIGN section 6). MQTT topics are the same with `/` for `.`. */
export const subjects = {
  desiredDevice: (fleet: string, device: string) =>
    `${ROOT}.desired.${checkId('fleet', fleet)}.device.${checkId('device', device)}`,
  desiredDefault: (fleet: string) => `${ROOT}.desired.${checkId('fleet', fleet)}.default`,
  desiredAll: `${ROOT}.desired.>`,
  chunk: (sha256: string) => `${ROOT}.chunk.${sha256}`,
  chunkAll: `${ROOT}.chunk.*`,
  report: (fleet: string, device: string) => `${ROOT}.report.${checkId('fleet', fleet)}.${checkId('device', device)}`,
  reportAll: `${ROOT}.report.*.*`,
  ack: (fleet: string, device: string) => `${ROOT}.ack.${checkId('fleet', fleet)}.${checkId('device', device)}`,
  reported: (fleet: string, device: string) =>
    `${ROOT}.reported.${checkId('fleet', fleet)}.${checkId('device', device)}`,
  reportedAll: `${ROOT}.reported.*.*`,
  presence: (fleet: string, device: string) =>
    `${ROOT}.presence.${checkId('fleet', fleet)}.${checkId('device', device)}`,
  presenceAll: `${ROOT}.presence.*.*`,
  job: `${ROOT}.job`,
} as const

/** The MQTT topic (or topic filter) of a subject. */
export function topicOf(subject: string): string {
  return subject.replaceAll('.', '/').replaceAll('*', '+').replace(/>$/, '#')
}

/** The subject of an MQTT topic. */
export function subjectOf(topic: string): string {
  return topic.replaceAll('/', '.')
}

/** The fleet and device named by a report, ack, reported or presence subject; undefined for any other. */
export function deviceOf(subject: string): { kind: string; fleet: string; device: string } | undefined {
  const match = /^tideway\.v1\.(report|ack|reported|presence)\.([^.]+)\.([^.]+)$/.exec(subject)
  return match ? { kind: match[1]!, fleet: match[2]!, device: match[3]! } : undefined
}
