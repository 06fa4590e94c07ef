import type {
  AbTests,
  Access,
  AuditLog,
  ChunkStore,
  Controller,
  DeviceStore,
  Jobs,
  Logger,
  Metrics,
  Monitor,
  Registry,
  ReportIntake,
  ReportStore,
  RunStore,
  Scope,
  Serving,
  Statistics,
  Token,
  Tracer,
  Traffic,
  WireInfo,
} from '@tideway/core'
import { errors, silentLogger, type TidewayError, tokens } from '@tideway/core/serving'

/** What the routes stand on. A route whose service is absent answers `ROLE_NOT_HERE`. */
export interface Services {
  readonly registry?: Registry
  readonly chunkStore?: ChunkStore
  readonly deviceStore?: DeviceStore
  readonly reportStore?: ReportStore
  readonly runStore?: RunStore
  readonly auditLog?: AuditLog
  readonly controller?: Controller
  readonly serving?: Serving
  /** Shared with the other doors to the same models; of the HTTP face alone where nothing provides them. */
  readonly statistics?: Statistics
  readonly traffic?: Traffic
  readonly abTests?: AbTests
  readonly jobs?: Jobs
  readonly intake?: ReportIntake
  readonly monitor?: Monitor
  readonly wire?: WireInfo
  /** Who may ask; without it everybody on loopback may do everything. */
  readonly access?: Access
  readonly logger?: Logger
  readonly metrics?: Metrics
  readonly tracer?: Tracer
  /** This process serves files and has no store; what is not here is told so. */
  readonly filesAlone?: boolean
}

type Service = Exclude<keyof Services, 'filesAlone'>

/** The service, or throws `ROLE_NOT_HERE`. */
export function need<K extends Service>(services: Services, name: K): NonNullable<Services[K]> {
  const service = services[name]
  if (!service) throw notHere(services, name)
  return service
}

export function notHere({ filesAlone }: Services, service: string): TidewayError {
  return errors.ROLE_NOT_HERE({ service, ...(filesAlone && { filesAlone }) })
}

/** Takes what this process provides; called at start, when every plugin has been registered. */
export function servicesOf(scope: Scope): Services {
  const take = <T>(token: Token<T>): T | undefined => (scope.has(token) ? scope.get(token) : undefined)
  return {
    registry: take(tokens.registry),
    chunkStore: take(tokens.chunkStore),
    deviceStore: take(tokens.deviceStore),
    reportStore: take(tokens.reportStore),
    runStore: take(tokens.runStore),
    auditLog: take(tokens.auditLog),
    controller: take(tokens.controller),
    serving: take(tokens.servingGroup) ?? take(tokens.serving),
    statistics: take(tokens.statistics),
    traffic: take(tokens.traffic),
    abTests: take(tokens.abTests),
    jobs: take(tokens.jobs),
    intake: take(tokens.intake),
    monitor: take(tokens.monitor),
    wire: take(tokens.wire),
    access: take(tokens.access),
    logger: take(tokens.logger) ?? silentLogger,
    metrics: take(tokens.metrics),
    tracer: take(tokens.tracer),
  }
}
