import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { access } from '@tideway/access'
import { brokerAedes } from '@tideway/broker-aedes'
import {
  configDefaults,
  createHost,
  type Host,
  type Logger,
  type PluginUse,
  type ResolvedCloudConfig,
  type Role,
  type Token,
  tokens,
} from '@tideway/core'
import { metricsPrometheus } from '@tideway/metrics-prometheus'
import { monitorDrift } from '@tideway/monitor-drift'
import { createQuantizer } from '@tideway/onnx'
import { onnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { serverGrpc } from '@tideway/server-grpc'
import { serverHttp } from '@tideway/server-http'
import { storePostgres } from '@tideway/store-postgres'
import { onnxTrainer } from '@tideway/trainer-onnx'
import { transportMqtt } from '@tideway/transport-mqtt'
import { transportNats } from '@tideway/transport-nats'
import { checkCredentials } from './config/credentials.js'
import { grpcOptions } from './config/grpc-options.js'
import { httpOptions } from './config/http-options.js'
import { openHostOf } from './config/open-host.js'
import { cloudErrors } from './errors.js'
import { part } from './part.js'
import { abTests } from './roles/ab-tests.js'
import { controller } from './roles/controller.js'
import { dataPlane } from './roles/data-plane.js'
import { exposures } from './roles/exposures.js'
import { fleetMetrics } from './roles/fleet-metrics.js'
import { intake } from './roles/intake.js'
import { jobs } from './roles/jobs.js'
import { localQueue } from './roles/queue.js'
import { serving } from './roles/serving.js'
import { tracesOf } from './roles/traces.js'
import { trainerRole } from './roles/trainer.js'

/**
 * The cloud process. Its parts in the order in which they are made and started; they stop in reverse. A plugin of the
 * user's that replaces one of ours stands in its place, those that add something come last. Throws
 * `TRAINER_INCOMPLETE`, `CREDENTIALS_REQUIRED`, and what registration throws.
 */
export async function createCloud(config: ResolvedCloudConfig, logger: Logger): Promise<Host> {
  const when = (role: Role, ...uses: PluginUse[]) => (config.roles.includes(role) ? uses : [])
  const isTrainerOnly = config.roles.every((role) => role === 'trainer')
  if (isTrainerOnly) checkTrainer(config)
  checkCredentials(config)
  tellOfServer(config, logger)
  const parts = [
    part(tokens.logger, () => logger),
    metricsPrometheus(),
    ...(await tracesOf(config.traces)),
    part(tokens.quantizer, createQuantizer),
    ...(isTrainerOnly ? [] : [store(config)]),
    // Before anything listens: its keys are in the store.
    ...when('api', accessOf(config)),
    ...link(config),
    onnxNodeRuntime(),
    onnxTrainer({ providers: [...config.trainer.providers] }),
    ...when('monitor', monitorDrift({ alarmRate: config.drift.alarmRate }), intake()),
    ...when('controller', controller()),
    ...when(
      'api',
      serving(config.serving),
      exposures(),
      abTests(),
      ...data(config),
      jobs(),
      fleetMetrics(),
      serverHttp(httpOptions(config)),
      ...grpc(config),
    ),
    ...when('trainer', trainerRole(cloudOf(config))),
  ]
  const host = createHost()
  host.useDefaults(parts, config.plugins)
  await mkdir(config.dir, { recursive: true })
  return host
}

function store({ dir, postgresUrl, chunksDir }: ResolvedCloudConfig): PluginUse {
  if (postgresUrl === undefined) return storePostgres({ dir, chunksDir })
  return storePostgres({ url: postgresUrl, chunksDir: chunksDir ?? join(dir, 'chunks') })
}

/** Where it is configured: a second port is for those who want it. */
function grpc(config: ResolvedCloudConfig): PluginUse[] {
  return config.grpc === undefined ? [] : [serverGrpc(grpcOptions(config))]
}

/** Processes for inference, where an address for them is configured. */
function data({ dataPlane: plane, serving, http, logs, traces }: ResolvedCloudConfig): PluginUse[] {
  if (plane === undefined) return []
  const { stickyHeader, cors, limits } = http
  const corsOrigins = [...cors.origins]
  return [dataPlane({ ...plane, serving, stickyHeader, limits, corsOrigins, observe: { logs, traces } })]
}

/** An option that has no effect (`--port`, say) is not to be one silently. */
function tellOfServer({ http, plugins }: ResolvedCloudConfig, logger: Logger): void {
  if (!gives(plugins, tokens.server)) return
  const fields = ['host', 'port', 'cors', 'trustedProxies', 'stickyHeader', 'limits'] as const
  const unheard = fields.filter((field) => !isDeepStrictEqual(http[field], configDefaults.http[field]))
  if (unheard.length > 0)
    logger.warn('a plugin stands for the HTTP server, and has options of its own: these are not heard', {
      options: unheard.map((field) => `http.${field}`),
    })
}

/** NATS when it is configured, else MQTT: the broker of that URL, or one of our own. */
function link({ natsUrl, mqttUrl, broker, plugins }: ResolvedCloudConfig): PluginUse[] {
  // Who brings a transport brings its broker, and says to devices where it is.
  if (gives(plugins, tokens.cloudLink)) return [localQueue()]
  if (natsUrl !== undefined) return [transportNats({ url: natsUrl })]
  if (mqttUrl !== undefined) return [transportMqtt({ url: mqttUrl }), localQueue()]
  return [brokerAedes(broker), transportMqtt({}), localQueue()]
}

/** Who may ask the servers of this process: where one of them listens beyond loopback, all ask for credentials. */
function accessOf(config: ResolvedCloudConfig): PluginUse {
  const { required, oidc } = config.access
  // Their types say what may be written, the plugin's schema what is valid.
  const options = { host: openHostOf(config), apiKeys: config.http.apiKeys, required, oidc }
  return access(options as Parameters<typeof access>[0])
}

/** The cloud that the trainer works for: the one named, else the one in this process. */
function cloudOf({ cloudUrl }: ResolvedCloudConfig) {
  return { cloudUrl, ...(cloudUrl !== undefined && { apiKey: process.env.TIDEWAY_API_KEY }) }
}

/** Apart from the other roles it would wait for ever without a queue that they share. */
function checkTrainer({ cloudUrl, natsUrl, plugins }: ResolvedCloudConfig): void {
  const missing = [
    ...(cloudUrl === undefined ? ['--cloud URL'] : []),
    ...(natsUrl === undefined && !gives(plugins, tokens.jobQueue) ? ['--nats URL'] : []),
  ]
  if (missing.length > 0) throw cloudErrors.TRAINER_INCOMPLETE({ missing })
}

function gives(plugins: readonly PluginUse[], token: Token<unknown>): boolean {
  return plugins.some(({ plugin }) => plugin.provides?.includes(token))
}
