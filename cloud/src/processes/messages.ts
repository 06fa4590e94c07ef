import type { ResolvedServing } from '@tideway/core'

/** What a serving process is told when it is started. */
export interface MemberConfig {
  readonly serving: ResolvedServing
  readonly apiKeys: readonly string[]
  /** Cores that its runs may use. */
  readonly threads: number
}

/** A connection is sent with this. */
export const CONNECTION = 'connection'

/** What the processes tell one another, beside calls. */
export const EVENTS = {
  /** To a member: begin, with this `MemberConfig`. From it: it is ready. */
  start: 'start',
  ready: 'ready',
  /** To a member: a model has changed in the registry. */
  changed: 'changed',
  /** From a member: a connection has closed. */
  closed: 'closed',
  /** To a member: end, once what is in flight is answered. */
  stop: 'stop',
} as const

/** Names of the objects that they call. */
export const OBJECTS = { registry: 'registry', chunkStore: 'chunkStore', group: 'group', own: 'own' } as const

export function memberFile(): URL {
  return new URL('./member.js', import.meta.url)
}
