import { subjects } from '@tideway/core'
import { streams } from './streams.js'

/** The inbox prefix of a device: answers to its requests are its own to read. */
export function edgeInbox(fleet: string, device: string): string {
  return `_INBOX_TIDEWAY.${fleet}.${device}`
}

/**
 * What a device's NATS user needs, and nothing beyond: for a server's `authorization` block or a user JWT. With these a
 * device can neither publish desired state nor report under another's id, nor read what is addressed to another.
 *
 * @example
 * edgePermissions('shop', 'till-1').publish // ['tideway.v1.report.shop.till-1', ...]
 */
export function edgePermissions(
  fleet: string,
  device: string,
  api = '$JS.API',
): { readonly publish: readonly string[]; readonly subscribe: readonly string[] } {
  const desired = [subjects.desiredDevice(fleet, device), subjects.desiredDefault(fleet)]
  return {
    publish: [
      subjects.report(fleet, device),
      subjects.reported(fleet, device),
      subjects.presence(fleet, device),
      ...desired.map((subject) => `${api}.DIRECT.GET.${streams.desired}.${subject}`),
      `${api}.DIRECT.GET.${streams.chunks}.${subjects.chunkAll}`,
    ],
    subscribe: [...desired, subjects.ack(fleet, device), `${edgeInbox(fleet, device)}.>`],
  }
}
