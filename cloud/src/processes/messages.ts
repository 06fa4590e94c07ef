import type { HttpLimits, ResolvedCloudConfig, ResolvedServing } from '@tideway/core'

/** What a serving process is told when it is started. */
export interface MemberConfig {
  /** How models are run, with its share of the cores. */
  readonly serving: ResolvedServing
  /** Whether credentials are asked for; who they are of, it asks this process. */
  readonly accessRequired: boolean
  readonly corsOrigins: readonly string[]
  readonly stickyHeader: string
  readonly limits: HttpLimits
  readonly logs: ResolvedCloudConfig['logs']
  readonly traces: ResolvedCloudConfig['traces']
}

/** A connection is sent with this. */
export const CONNECTION = 'connection'

/** What the processes tell one another, beside calls. */
export const EVENTS = {
  /** To a member: a model has changed in the registry. */
  changed: 'changed',
  /** From a member: a connection has come. */
  taken: 'taken',
  /** From a member: a connection has closed. */
  closed: 'closed',
} as const

/** The objects that they call: of the parent, and of a member. */
export const OBJECTS = {
  registry: 'registry',
  chunkStore: 'chunkStore',
  trafficStore: 'trafficStore',
  abTestStore: 'abTestStore',
  group: 'group',
  access: 'access',
  member: 'member',
} as const

/** What the parent asks of a member, beside what it asks of all that serve. */
export interface MemberControl {
  /** Resolves once it takes connections. */
  start(config: MemberConfig): Promise<void>
  /** Resolves once what is in flight is answered. */
  stop(): Promise<void>
  /** A sign of life. */
  ping(): Promise<void>
}

/** The built one: tests run from the sources, processes do not. */
export const memberFile = new URL('../../dist/processes/member.js', import.meta.url)
