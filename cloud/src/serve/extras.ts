import { access } from '@tideway/access'
import {
  type Access,
  createHost,
  type Logger,
  type Metrics,
  type ResolvedCloudConfig,
  TidewayError,
  type Tracer,
  tokens,
} from '@tideway/core'
import { openHostOf } from '../config/open-host.js'
import { part } from '../part.js'
import { tracesOf } from '../roles/traces.js'

export interface Extras {
  readonly access: Access
  readonly tracer: Tracer | undefined
  stop(): Promise<void>
}

/**
 * Who may ask, and traces: the plugins of the cloud, without a store. They are loaded where they are configured alone. Throws
 * `CREDENTIALS_REQUIRED`.
 */
export async function startExtras(
  config: Pick<ResolvedCloudConfig, 'http' | 'grpc' | 'access' | 'traces'>,
  { logger, metrics }: { readonly logger: Logger; readonly metrics: Metrics },
): Promise<Extras> {
  const {
    http: { apiKeys },
    access: { required, oidc },
    traces,
  } = config
  const parts = createHost()
  parts.use(
    part(tokens.logger, () => logger),
    part(tokens.metrics, () => metrics),
    ...(await tracesOf(traces)),
    // Their types say what may be written, the plugin's schema what is valid.
    access({ host: openHostOf(config), apiKeys, required, oidc } as Parameters<typeof access>[0]),
  )
  await parts.start().catch((error: unknown) => {
    throw error instanceof TidewayError && error.cause instanceof TidewayError ? error.cause : error
  })
  return {
    access: parts.get(tokens.access),
    tracer: parts.has(tokens.tracer) ? parts.get(tokens.tracer) : undefined,
    stop: () => parts.stop(),
  }
}
