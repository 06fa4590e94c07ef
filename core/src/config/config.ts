import type { AccessRole, AccessScope } from '../contracts/access.js'
import type { PluginUse } from '../plugin/plugin.js'
import type { HttpLimits } from './http-limits.js'
import { type ResolvedServing, resolveServing, type ServingConfig, said } from './serving.js'

export const roles = ['api', 'monitor', 'controller', 'trainer'] as const
export type Role = (typeof roles)[number]

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]
/** Requests that get a line in the log: none, those that change something, or all, inference too. */
export const requestLogs = ['none', 'changes', 'all'] as const
export type RequestLogs = (typeof requestLogs)[number]

export type ConfiguredApiKey =
  | string
  | ({ readonly key: string; readonly name?: string; readonly roles?: readonly AccessRole[] } & AccessScope)

export interface OidcConfig {
  /** As tokens name it in `iss`: `https://sso.example.com/realms/main`. */
  readonly issuer: string
  /** What tokens must name in `aud`. */
  readonly audience: string | readonly string[]
  /** Default: what the issuer's discovery document says. */
  readonly jwksUrl?: string
  /** Default: all that are asymmetric. */
  readonly algorithms?: readonly string[]
  /** Claim with the roles, or a path to it: `realm_access.roles`. Default `roles`. */
  readonly rolesClaim?: string | readonly string[]
  /** From the issuer's names to ours: `{ 'ml-ops': ['operator', 'publisher'] }`. Default: the same names. */
  readonly roleMap?: Readonly<Record<string, readonly AccessRole[]>>
  /** Claim with the models to which a token is restricted. */
  readonly modelsClaim?: string | readonly string[]
  /** Default 30. */
  readonly clockToleranceSeconds?: number
}

/** `tideway.config.ts`: everything may be left out. */
export interface CloudConfig {
  /** Where the embedded store, logs and process files live. */
  readonly dir?: string
  readonly roles?: readonly Role[]
  readonly http?: {
    readonly host?: string
    readonly port?: number
    /** Keys beside those that `tideway keys create` makes; a text alone is one of the role admin. */
    readonly apiKeys?: readonly ConfiguredApiKey[]
    /** Pages of which origins (`https://app.example.com`) may read answers; none by default. */
    readonly cors?: { readonly origins: readonly string[]; readonly maxAgeSeconds?: number }
    /** Whose X-Forwarded-For is believed: addresses, or ranges as `10.0.0.0/8`. */
    readonly trustedProxies?: readonly string[]
    /** Whose value keeps inference requests with the same version under a traffic policy; `x-tideway-key` by default. */
    readonly stickyHeader?: string
    /** How large bodies may be, and how long things may take, of every process that answers HTTP. */
    readonly limits?: Partial<HttpLimits>
  }
  readonly access?: {
    /**
     * Whether requests without credentials are refused. They are unless the API listens on loopback and neither keys nor an
     * issuer are configured; behind a proxy on the same machine say `true`.
     */
    readonly required?: boolean
    /** Tokens of an OpenID Connect issuer. */
    readonly oidc?: OidcConfig
  }
  /**
   * The Open Inference Protocol over gRPC beside HTTP, where it is given; who may ask is the same as there. Files of `tls` are
   * PEM; with `ca`, clients must show a certificate that it signed.
   */
  readonly grpc?: { readonly host?: string; readonly port?: number; readonly tls?: GrpcTls }
  /** The embedded MQTT broker, used when no NATS and no MQTT URL is given. */
  readonly broker?: { readonly host?: string; readonly port?: number }
  /** One transport: either of the two, or the embedded broker. */
  readonly nats?: { readonly url: string }
  readonly mqtt?: { readonly url: string }
  /**
   * A PostgreSQL server instead of the embedded PGlite. Processes that share it share the folder of chunks too, by
   * default `chunks` in `dir`.
   */
  readonly postgres?: { readonly url?: string; readonly chunksDir?: string }
  /** The cloud that a trainer works for where the role `api` is not in its own process. */
  readonly cloud?: { readonly url: string }
  /** Alarm rate per device and version that the drift monitor holds. */
  readonly drift?: { readonly alarmRate?: number }
  /** Execution providers for training, in the order in which they are tried: `['webgpu', 'cpu']`, `['auto']`. */
  readonly trainer?: { readonly providers?: readonly string[] }
  /** How models are run for requests: batches, queues, memory, answers that are kept. */
  readonly serving?: ServingConfig
  /** Inference on an address of its own, answered by processes that do nothing else; as many as there are cores by default. */
  readonly dataPlane?: { readonly host?: string; readonly port?: number; readonly processes?: number }
  readonly logs?: { readonly level?: LogLevel; readonly requests?: RequestLogs }
  /**
   * Traces, sent to an OTLP/HTTP endpoint: `{ url: 'http://collector:4318', sampleRatio: 0.01 }`. What is left out is as
   * OpenTelemetry's variables (`OTEL_*`) say; without this they are sent only where those name an endpoint.
   */
  readonly traces?: { readonly url?: string; readonly sampleRatio?: number }
  /** One that says that it `provides` what a part of ours does replaces that part; the others are added. */
  readonly plugins?: readonly PluginUse[]
}

/** Paths of files. */
export interface GrpcTls {
  readonly cert: string
  readonly key: string
  readonly ca?: string
}

/** Nothing optional: after resolving there are no defaults to guess. */
export interface ResolvedCloudConfig {
  readonly dir: string
  readonly roles: readonly Role[]
  readonly http: {
    readonly host: string
    readonly port: number
    readonly apiKeys: readonly ConfiguredApiKey[]
    readonly cors: { readonly origins: readonly string[]; readonly maxAgeSeconds?: number }
    readonly trustedProxies: readonly string[]
    readonly stickyHeader: string
    /** What is left out is as the server has it. */
    readonly limits: Partial<HttpLimits>
  }
  readonly access: { readonly required: boolean | undefined; readonly oidc: OidcConfig | undefined }
  /** Undefined: no gRPC. */
  readonly grpc: { readonly host: string; readonly port: number; readonly tls: GrpcTls | undefined } | undefined
  readonly broker: { readonly host: string; readonly port: number }
  readonly natsUrl: string | undefined
  readonly mqttUrl: string | undefined
  readonly postgresUrl: string | undefined
  readonly chunksDir: string | undefined
  readonly cloudUrl: string | undefined
  readonly drift: { readonly alarmRate: number }
  readonly trainer: { readonly providers: readonly string[] }
  readonly serving: ResolvedServing
  readonly dataPlane:
    | { readonly host: string; readonly port: number; readonly processes: number | undefined }
    | undefined
  readonly logs: { readonly level: LogLevel; readonly requests: RequestLogs }
  readonly traces: { readonly url?: string; readonly sampleRatio?: number } | undefined
  readonly plugins: readonly PluginUse[]
}

export const configDefaults = Object.freeze({
  dir: '.tideway',
  roles,
  http: Object.freeze({
    host: '127.0.0.1',
    port: 4400,
    apiKeys: Object.freeze([]) as readonly ConfiguredApiKey[],
    cors: Object.freeze({ origins: Object.freeze([]) as readonly string[] }),
    trustedProxies: Object.freeze([]) as readonly string[],
    stickyHeader: 'x-tideway-key',
    limits: Object.freeze({}) as Partial<HttpLimits>,
  }),
  grpc: Object.freeze({ host: '127.0.0.1', port: 8001 }),
  dataPlane: Object.freeze({ host: '127.0.0.1', port: 8000 }),
  broker: Object.freeze({ host: '127.0.0.1', port: 1884 }),
  drift: Object.freeze({ alarmRate: 0.001 }),
  trainer: Object.freeze({ providers: Object.freeze(['cpu']) as readonly string[] }),
  logs: Object.freeze({ level: 'info', requests: 'changes' } as const),
})

/**
 * Gives `tideway.config.ts` its types.
 *
 * @example
 * export default defineConfig({ nats: { url: 'nats://127.0.0.1:4222' }, plugins: [webhook({ url: 'https://…' })] })
 */
export function defineConfig(config: CloudConfig): CloudConfig {
  return config
}

/** Fills in the defaults; later configurations win over earlier ones, field by field, the transport as one. */
export function resolveConfig(...configs: readonly CloudConfig[]): ResolvedCloudConfig {
  const pick = <T>(of: (config: CloudConfig) => T | undefined): T | undefined =>
    configs.reduceRight<T | undefined>((found, config) => found ?? of(config), undefined)
  const link = pick((c) => (c.nats ?? c.mqtt) && { natsUrl: c.nats?.url, mqttUrl: c.mqtt?.url })
  return Object.freeze({
    dir: pick((c) => c.dir) ?? configDefaults.dir,
    roles: pick((c) => c.roles) ?? configDefaults.roles,
    http: Object.freeze({
      host: pick((c) => c.http?.host) ?? configDefaults.http.host,
      port: pick((c) => c.http?.port) ?? configDefaults.http.port,
      apiKeys: pick((c) => c.http?.apiKeys) ?? configDefaults.http.apiKeys,
      cors: pick((c) => c.http?.cors) ?? configDefaults.http.cors,
      trustedProxies: pick((c) => c.http?.trustedProxies) ?? configDefaults.http.trustedProxies,
      stickyHeader: pick((c) => c.http?.stickyHeader) ?? configDefaults.http.stickyHeader,
      limits: Object.freeze(Object.assign({}, ...configs.map((c) => said(c.http?.limits ?? {})))),
    }),
    grpc:
      pick((c) => c.grpc) &&
      Object.freeze({
        host: pick((c) => c.grpc?.host) ?? configDefaults.grpc.host,
        port: pick((c) => c.grpc?.port) ?? configDefaults.grpc.port,
        tls: pick((c) => c.grpc?.tls),
      }),
    access: Object.freeze({ required: pick((c) => c.access?.required), oidc: pick((c) => c.access?.oidc) }),
    broker: Object.freeze({
      host: pick((c) => c.broker?.host) ?? configDefaults.broker.host,
      port: pick((c) => c.broker?.port) ?? configDefaults.broker.port,
    }),
    natsUrl: link?.natsUrl,
    mqttUrl: link?.mqttUrl,
    postgresUrl: pick((c) => c.postgres?.url),
    chunksDir: pick((c) => c.postgres?.chunksDir),
    cloudUrl: pick((c) => c.cloud?.url),
    drift: Object.freeze({ alarmRate: pick((c) => c.drift?.alarmRate) ?? configDefaults.drift.alarmRate }),
    trainer: Object.freeze({ providers: pick((c) => c.trainer?.providers) ?? configDefaults.trainer.providers }),
    serving: resolveServing(...configs.map((c) => c.serving ?? {})),
    dataPlane:
      pick((c) => c.dataPlane) &&
      Object.freeze({
        host: pick((c) => c.dataPlane?.host) ?? configDefaults.dataPlane.host,
        port: pick((c) => c.dataPlane?.port) ?? configDefaults.dataPlane.port,
        processes: pick((c) => c.dataPlane?.processes),
      }),
    logs: Object.freeze({
      level: pick((c) => c.logs?.level) ?? configDefaults.logs.level,
      requests: pick((c) => c.logs?.requests) ?? configDefaults.logs.requests,
    }),
    traces: pick((c) => c.traces),
    plugins: Object.freeze(configs.flatMap((c) => c.plugins ?? [])),
  })
}
