import {
  type CloudConfig,
  cloudConfigSchema,
  type ResolvedCloudConfig,
  type Role,
  resolveConfig,
  roles,
  tokens,
} from '@tideway/core'
import { type Command, InvalidArgumentError } from 'commander'
import { loadConfig } from '../config/load.js'
import { createLogger } from '../config/logger.js'
import { readCloudProcess, removeCloudProcess, writeCloudProcess } from '../config/process-file.js'
import { cloudErrors } from '../errors.js'
import { print } from '../view/print.js'
import { readyLines } from '../view/ready.js'
import { withKeyOfEnvironment } from './environment.js'
import { PROVIDERS_HELP, parseNames } from './providers.js'
import { parseWhole } from './train.js'

interface UpOptions {
  /** `false`: by --no-config. */
  readonly config?: string | false
  readonly dir?: string
  readonly roles?: readonly Role[]
  readonly host?: string
  readonly port?: number
  readonly grpc?: number
  readonly serve?: number
  readonly serveProcesses?: number
  readonly mqttPort?: number
  readonly nats?: string
  readonly mqtt?: string
  readonly postgres?: string
  readonly chunksDir?: string
  readonly cloud?: string
  readonly provider?: readonly string[]
  readonly json?: boolean
}

export function addUp(command: Command): void {
  command
    .option('--config <file>', 'configuration (default: tideway.config.ts in the working directory)')
    .option('--no-config', 'read no configuration')
    .option('--dir <dir>', 'directory of the embedded store and of process files')
    .option('--roles <list>', `parts to run: ${roles.join(',')} (all by default)`, parseRoles)
    .option('--host <host>', 'address of the HTTP API; any but loopback needs API keys (`tideway keys`) or an issuer')
    .option('--port <port>', 'port of the HTTP API, 0 for a free one', parsePort)
    .option(
      '--grpc <port>',
      'answer the Open Inference Protocol over gRPC on this port too, 0 for a free one',
      parsePort,
    )
    .option(
      '--serve <port>',
      'answer the Open Inference Protocol on this port by processes of their own too, 0 for a free one',
      parsePort,
    )
    .option('--serve-processes <n>', 'how many (default: as many as there are cores)', parseWhole)
    .option('--mqtt-port <port>', 'port of the embedded MQTT broker, 0 for a free one', parsePort)
    .option('--nats <url>', 'use NATS with JetStream instead of the embedded broker')
    .option('--mqtt <url>', 'use this MQTT broker instead of the embedded one')
    .option('--postgres <url>', 'use a PostgreSQL server instead of the embedded PGlite')
    .option('--chunks-dir <dir>', 'with --postgres: folder of chunks that its processes share (default: in --dir)')
    .option('--cloud <url>', 'cloud that a trainer works for where the role api is not in this process')
    .option('--provider <names>', PROVIDERS_HELP, parseNames)
    .option('--json', 'say that it is ready as one JSON line')
    .addHelpText(
      'after',
      `
Examples:
  $ tideway up                                     everything embedded, on loopback
  $ tideway up --nats nats://127.0.0.1:4222        devices and trainer nodes over NATS
  $ tideway up --postgres postgres://db/tideway    where power cuts matter, and for more than one process:
  $ tideway up --postgres postgres://db/tideway --chunks-dir /mnt/chunks --nats nats://nats:4222 --roles api
  $ tideway up --roles trainer --nats nats://nats:4222 --cloud http://cloud:4400`,
    )
    .action(async (options: UpOptions) => up(options))
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** What of a configuration an option says. */
const FLAGS = {
  dir: '--dir',
  'http.host': '--host',
  'dataPlane.processes': '--serve-processes',
  nats: '--nats',
  mqtt: '--mqtt',
  'postgres.url': '--postgres',
  'postgres.chunksDir': '--chunks-dir',
  cloud: '--cloud',
  trainer: '--provider',
} as const

/** Throws `UP_ORDER_INVALID` naming every option that says what no configuration may. */
function checkOptions(given: CloudConfig): CloudConfig {
  const { error } = cloudConfigSchema.safeParse(given)
  if (!error) return given
  const issues = error.issues.map(({ path, message }) => {
    const at = path.join('.')
    const flag = Object.entries(FLAGS).find(([field]) => `${at}.`.startsWith(`${field}.`))?.[1]
    return `${flag ?? at}: ${message}`
  })
  throw cloudErrors.UP_ORDER_INVALID({ issues })
}

/**
 * The configuration file, if there is one, under what the command line says. Throws `CONFIG_INVALID`, `UP_ORDER_INVALID`,
 * `ADMIN_KEY_TOO_SHORT`.
 */
async function configOf(options: UpOptions): Promise<ResolvedCloudConfig> {
  const file = options.config === false ? {} : await loadConfig(options.config)
  const given: CloudConfig = {
    dir: options.dir,
    roles: options.roles,
    http: { host: options.host, port: options.port },
    grpc: options.grpc === undefined ? undefined : { port: options.grpc },
    dataPlane: dataPlaneOf(options),
    broker: { port: options.mqttPort },
    nats: options.nats === undefined ? undefined : { url: options.nats },
    mqtt: options.mqtt === undefined ? undefined : { url: options.mqtt },
    postgres: { url: options.postgres, chunksDir: options.chunksDir },
    cloud: options.cloud === undefined ? undefined : { url: options.cloud },
    trainer: { providers: options.provider },
  }
  return resolveConfig(withKeyOfEnvironment(file), checkOptions(given))
}

async function up(options: UpOptions): Promise<void> {
  const config = await configOf(options)
  const running = await readCloudProcess(config.dir)
  if (running) throw cloudErrors.CLOUD_ALREADY_RUNNING({ dir: config.dir, pid: running.pid })

  // Engines, stores and transports are loaded where they are used: a command that asks a running cloud needs none.
  const { createCloud } = await import('../up.js')
  const host = await createCloud(config, createLogger('tideway', config.logs.level))
  // A signal during the start is kept until the start is done: half-started parts are not torn from under it.
  let stop: (signal: NodeJS.Signals) => void = () => {}
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    stop = resolve
  })
  for (const signal of SIGNALS) process.once(signal, stop)
  try {
    await host.start()
  } catch (error) {
    for (const signal of SIGNALS) process.off(signal, stop)
    throw error
  }
  const logger = host.get(tokens.logger)
  const url = host.has(tokens.server) ? host.get(tokens.server).url : undefined
  const grpcUrl = host.has(tokens.grpcServer) ? host.get(tokens.grpcServer).url : undefined
  const dataPlaneUrl = host.has(tokens.dataPlane) ? host.get(tokens.dataPlane).url : undefined
  const { mqttUrl, natsUrl } = host.has(tokens.wire) ? host.get(tokens.wire) : {}
  const cloud = { url, dataPlaneUrl, grpcUrl, mqttUrl, natsUrl, startedAt: new Date().toISOString() }
  await writeCloudProcess(config.dir, cloud)
  logger.info('cloud is up', { url, dataPlaneUrl, grpcUrl, mqttUrl, natsUrl, dir: config.dir, roles: config.roles })
  print(options.json, { ready: true, pid: process.pid, ...cloud }, () =>
    readyLines({ dir: config.dir, url, dataPlaneUrl, grpcUrl, natsUrl }),
  )

  const signal = await stopped
  logger.info('stopping', { signal })
  await removeCloudProcess(config.dir)
  await host.stop()
}

function dataPlaneOf({ serve: port, serveProcesses: processes }: UpOptions): CloudConfig['dataPlane'] {
  return port === undefined && processes === undefined ? undefined : { port, processes }
}

function parseRoles(text: string): Role[] {
  const list = text.split(',').map((role) => role.trim())
  const unknown = list.filter((role) => !(roles as readonly string[]).includes(role))
  if (unknown.length > 0)
    throw new InvalidArgumentError(`no such role: ${unknown.join(', ')}; there is ${roles.join(', ')}`)
  return list as Role[]
}

export function parsePort(text: string): number {
  // Number('') is 0.
  const port = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new InvalidArgumentError('a port is 0 to 65535')
  return port
}
