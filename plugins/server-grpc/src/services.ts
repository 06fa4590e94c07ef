import {
  type Access,
  type AuditLog,
  errors,
  type Logger,
  type Metrics,
  openAccess,
  type Registry,
  type Scope,
  type Serving,
  Statistics,
  silentLogger,
  type Token,
  type Tracer,
  tokens,
} from '@tideway/core'

/** What the methods stand on. One whose service is absent answers `ROLE_NOT_HERE`. */
export interface Services {
  readonly serving?: Serving
  /** Shared with the other doors to the same models. */
  readonly statistics: Statistics
  readonly registry?: Registry
  readonly auditLog?: AuditLog
  readonly logger: Logger
  /** Who may ask; everybody on loopback where nothing says who. */
  readonly access: Access
  readonly metrics?: Metrics
  readonly tracer?: Tracer
}

/** Takes what this process provides; called at start, when every plugin has been registered. */
export function servicesOf(scope: Scope): Services {
  const take = <T>(token: Token<T>): T | undefined => (scope.has(token) ? scope.get(token) : undefined)
  return {
    serving: take(tokens.servingGroup) ?? take(tokens.serving),
    statistics: take(tokens.statistics) ?? new Statistics(),
    registry: take(tokens.registry),
    auditLog: take(tokens.auditLog),
    logger: take(tokens.logger) ?? silentLogger,
    access: take(tokens.access) ?? openAccess,
    metrics: take(tokens.metrics),
    tracer: take(tokens.tracer),
  }
}

/** Throws `ROLE_NOT_HERE`. */
export function servingOf({ serving }: Services): Serving {
  if (!serving) throw errors.ROLE_NOT_HERE({ service: 'serving' })
  return serving
}
