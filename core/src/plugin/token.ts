import type { AbTestStore, AbTests } from '../contracts/ab-test.js'
import type { Access } from '../contracts/access.js'
import type {
  Broker,
  Controller,
  DataPlane,
  GrpcServer,
  Jobs,
  ReportIntake,
  Server,
  Serving,
  WireInfo,
} from '../contracts/cloud.js'
import type { Logger } from '../contracts/logger.js'
import type { Metrics } from '../contracts/metrics.js'
import type { Monitor } from '../contracts/monitor.js'
import type { Quantizer } from '../contracts/quantizer.js'
import type { Runtime } from '../contracts/runtime.js'
import type {
  AuditLog,
  ChunkStore,
  DeviceStore,
  JobStore,
  KeyStore,
  Registry,
  ReportStore,
  RunStore,
} from '../contracts/store.js'
import type { Tracer } from '../contracts/tracer.js'
import type { Traffic, TrafficStore } from '../contracts/traffic.js'
import type { Trainer } from '../contracts/trainer.js'
import type { CloudLink, EdgeLink, JobQueue } from '../contracts/transport.js'
import type { Statistics } from '../inference/statistics.js'

declare const provides: unique symbol

/** The name of something that a plugin provides; equal across copies of this package. */
export type Token<T> = symbol & { readonly [provides]?: T }

/** A token of your own: `token<MyThing>('my-company/my-thing@1')`. */
export function token<T>(name: string): Token<T> {
  return Symbol.for(name) as Token<T>
}

/** The name that a token was made with. */
export function tokenName(of: Token<unknown>): string {
  return Symbol.keyFor(of) ?? of.description ?? 'unnamed token'
}

/** What the host and the plugins share. */
export const tokens = {
  logger: token<Logger>('tideway/logger@1'),
  metrics: token<Metrics>('tideway/metrics@1'),
  tracer: token<Tracer>('tideway/tracer@1'),
  runtime: token<Runtime>('tideway/runtime@1'),
  trainer: token<Trainer>('tideway/trainer@1'),
  quantizer: token<Quantizer>('tideway/quantizer@1'),
  registry: token<Registry>('tideway/registry@1'),
  chunkStore: token<ChunkStore>('tideway/chunk-store@1'),
  deviceStore: token<DeviceStore>('tideway/device-store@1'),
  reportStore: token<ReportStore>('tideway/report-store@1'),
  runStore: token<RunStore>('tideway/run-store@1'),
  jobStore: token<JobStore>('tideway/job-store@1'),
  auditLog: token<AuditLog>('tideway/audit-log@1'),
  trafficStore: token<TrafficStore>('tideway/traffic-store@1'),
  abTestStore: token<AbTestStore>('tideway/ab-test-store@1'),
  keyStore: token<KeyStore>('tideway/key-store@1'),
  access: token<Access>('tideway/access@1'),
  cloudLink: token<CloudLink>('tideway/cloud-link@1'),
  edgeLink: token<EdgeLink>('tideway/edge-link@1'),
  jobQueue: token<JobQueue>('tideway/job-queue@1'),
  monitor: token<Monitor>('tideway/monitor@1'),
  controller: token<Controller>('tideway/controller@1'),
  serving: token<Serving>('tideway/serving@1'),
  /** The same, but that what is loaded and listed is of all processes that serve. */
  servingGroup: token<Serving>('tideway/serving-group@1'),
  /** Where processes answer that do inference alone. */
  dataPlane: token<DataPlane>('tideway/data-plane@1'),
  statistics: token<Statistics>('tideway/statistics@1'),
  traffic: token<Traffic>('tideway/traffic@1'),
  abTests: token<AbTests>('tideway/ab-tests@1'),
  jobs: token<Jobs>('tideway/jobs@1'),
  intake: token<ReportIntake>('tideway/report-intake@1'),
  wire: token<WireInfo>('tideway/wire@1'),
  server: token<Server>('tideway/server@1'),
  grpcServer: token<GrpcServer>('tideway/grpc-server@1'),
  broker: token<Broker>('tideway/broker@1'),
} as const
