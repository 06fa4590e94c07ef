import type { Logger, ResolvedCloudConfig, Serving } from '@tideway/core'
import { codeOf, isLoopback, openAccess, Statistics, TidewayError } from '@tideway/core/serving'
import { prometheusMetrics } from '@tideway/metrics-prometheus/metrics'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { listen } from '@tideway/server-http/listen'
import { httpOptions } from '../config/http-options.js'
import type { NamedFile } from '../config/named-file.js'
import { openHostOf } from '../config/open-host.js'
import { cloudErrors } from '../errors.js'
import { isTraced } from '../roles/traces.js'
import { createServing } from '../serving/service.js'
import type { Extras } from './extras.js'
import { readFiles, type ServedFile } from './files.js'
import { fixedRegistry } from './registry.js'

/** What of a cloud's configuration is about inference. */
export type ServeConfig = Pick<ResolvedCloudConfig, 'http' | 'grpc' | 'access' | 'serving' | 'logs' | 'traces'>

export interface ServeProcess {
  readonly url: string
  /** Where it answers over gRPC, too. */
  readonly grpcUrl: string | undefined
  readonly models: readonly ServedFile[]
  /** Takes no new requests, finishes those that it took, and frees the models. */
  stop(): Promise<void>
}

/**
 * Serves ONNX files over HTTP, and over gRPC where that is configured, from this process alone: no store, no broker, no other
 * process. Every model is loaded and was tried before it listens. Throws `SERVE_ORDER_INVALID`, `MODEL_NOT_SERVED`,
 * `CREDENTIALS_REQUIRED`, `HTTP_LISTEN_FAILED`, `GRPC_TLS_INVALID`, `GRPC_LISTEN_FAILED`.
 *
 * @example
 * const served = await serveFiles([{ model: 'digits', file: 'digits.onnx' }], resolveConfig({ http: { port: 0 } }), logger)
 * await fetch(`${served.url}/v2/models/digits/infer`, { method: 'POST', body })
 */
export async function serveFiles(
  named: readonly NamedFile[],
  config: ServeConfig,
  logger: Logger,
): Promise<ServeProcess> {
  const models = await readFiles(named)
  const metrics = prometheusMetrics({ logger: () => logger })
  const registry = fixedRegistry(models.files, new Date().toISOString())
  const runtime = createOnnxNodeRuntime()
  const service = createServing(keepingAll(config.serving, models.files), {
    registry: () => registry,
    source: () => models,
    runtime: () => runtime,
    logger: () => logger,
    metrics: () => metrics,
    cache: await cacheOf(config),
  })
  await service.start()
  let extras: Extras | undefined
  const doors: Door[] = []
  const stop = async () => {
    await Promise.all(doors.map((door) => door.stop()))
    await extras?.stop()
    await service.stop()
  }
  try {
    extras = await extrasOf(config, { logger, metrics })
    await loadAll(service.serving, models.files)
    const { serving } = service
    const { access = openAccess, tracer } = extras ?? {}
    const services = { registry, serving, statistics: new Statistics(metrics), logger, metrics, access, tracer }
    const http = await listen({ ...services, filesAlone: true }, httpOptions(config))
    doors.push(http)
    const grpc = config.grpc && (await (await import('./grpc.js')).listenGrpc(services, config))
    if (grpc) doors.push(grpc)
    return { url: http.url, grpcUrl: grpc?.url, models: models.files, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Where requests come in. */
interface Door {
  stop(): Promise<void>
}

/** What was asked for by name stays loaded, whatever is usual. */
function keepingAll(config: ServeConfig['serving'], files: readonly ServedFile[]): ServeConfig['serving'] {
  return {
    ...config,
    maxModels: Math.max(config.maxModels, files.length),
    maxModelBytes: Number.MAX_SAFE_INTEGER,
  }
}

/** One after the other: two that are tried at once would disturb each other's measurements. */
async function loadAll(serving: Pick<Serving, 'metadata'>, files: readonly ServedFile[]): Promise<void> {
  const failures: string[] = []
  let cause: unknown
  for (const { model, file } of files)
    await serving.metadata(model).catch((error: unknown) => {
      failures.push(`${file}: ${reasonOf(error)}`)
      // What of ours it was is told by the failures, whole.
      if (!(error instanceof TidewayError)) cause ??= error
    })
  if (failures.length > 0) throw cloudErrors.MODEL_NOT_SERVED({ failures }, cause)
}

/** Which file it was is said before. */
function reasonOf(error: unknown): string {
  const code = codeOf(error)
  if (!(error instanceof TidewayError) || code !== 'MODEL_INVALID') return String(error)
  return String(error.data.reason).replace(/\.$/, '')
}

async function cacheOf({ serving: { cache } }: ServeConfig) {
  if (cache === undefined) return undefined
  const { ResponseCache } = await import('../serving/cache.js')
  return new ResponseCache(cache)
}

/** On loopback, without keys, an issuer or traces to send: nothing to load. */
async function extrasOf(
  config: ServeConfig,
  parts: Parameters<typeof import('./extras.js').startExtras>[1],
): Promise<Extras | undefined> {
  const { http, access, traces } = config
  const isOpen =
    isLoopback(openHostOf(config)) && http.apiKeys.length === 0 && access.oidc === undefined && !access.required
  if (isOpen && !isTraced(traces)) return undefined
  const { startExtras } = await import('./extras.js')
  return startExtras(config, parts)
}
