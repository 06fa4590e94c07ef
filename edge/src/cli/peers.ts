import { codeOf, type EdgeLink, errors, type Fallback, type LogData, type Logger, type Runtime } from '@tideway/core'

/** Where the cloud is, and who this device is. */
export interface LinkOrder {
  readonly device: string
  readonly fleet: string
  readonly cloud?: string
  readonly nats?: string
  readonly logger?: Logger
}

/** A device installs one transport and one runtime; which, shows only when it runs. */
const MQTT = '@tideway/transport-mqtt'
const NATS = '@tideway/transport-nats'
const NATIVE = '@tideway/runtime-onnx-node'
const WEB = '@tideway/runtime-onnx-web'
const TFJS = '@tideway/runtime-tfjs'

/** What a device may run: it takes the variants of that format. */
export const RUNTIMES = ['onnx', 'tfjs'] as const
export type RuntimeName = (typeof RUNTIMES)[number]

/**
 * Connects over NATS where a server is named, else over MQTT and HTTP, there with the key in TIDEWAY_API_KEY. Throws
 * `PLUGIN_NOT_INSTALLED`.
 */
export async function connect({ device, fleet, cloud, nats, logger }: LinkOrder): Promise<EdgeLink> {
  if (nats !== undefined) {
    const connectNats = await load<EdgeLink>(NATS, 'connectEdgeNats')
    return await connectNats({ url: nats, fleet, device, logger })
  }
  const connectMqtt = await load<EdgeLink>(MQTT, 'connectEdgeMqtt')
  return await connectMqtt({ cloudUrl: cloud, fleet, device, token: process.env.TIDEWAY_API_KEY, logger })
}

/** The runtime that was asked for, with so many threads inside one operator. Throws `PLUGIN_NOT_INSTALLED`. */
export function createRuntime(name: RuntimeName, threads: number, logger: Logger): Promise<Runtime> {
  return name === 'tfjs' ? createTfjs(threads, logger) : createOnnx(threads, logger)
}

/** On the first backend that is here; which are not, and why, is said once. */
async function createTfjs(threads: number, logger: Logger): Promise<Runtime> {
  const create = await load<Runtime>(TFJS, 'createTfjsRuntime')
  return await create({
    intraOpThreads: threads,
    onSkip: (skipped: LogData) => logger.warn('a faster backend of TensorFlow.js is not used', skipped),
    fallback: {
      to: ['wasm', 'cpu'],
      onFallback: ({ from, to, error }: Fallback) =>
        logger.warn('a model runs on another backend', { from, to, reason: error.message }),
    },
  })
}

/**
 * A runtime with so many threads inside one operator: few, since a device has other work to do and idle threads of the
 * engine spin. The native one; where it is not installed or has no binary for this platform, and the one in WebAssembly
 * is installed, that one, which the log says with the reason. Throws `PLUGIN_NOT_INSTALLED`.
 */
async function createOnnx(threads: number, logger: Logger): Promise<Runtime> {
  const options = { intraOpThreads: threads }
  const native = await orMissing(load<Runtime>(NATIVE, 'createOnnxNodeRuntime'))
  const runtime = native instanceof Error ? undefined : await native(options)
  if (runtime !== undefined && runtime.flags.providers.length > 0) return runtime
  const web = await orMissing(load<Runtime>(WEB, 'createOnnxWebRuntime'))
  if (web instanceof Error) {
    // Installed without a binary, it says with the first model what to do.
    if (runtime !== undefined) return runtime
    throw native
  }
  const reason = runtime === undefined ? 'is not installed' : `has no binary for ${process.platform}-${process.arch}`
  logger.warn('models run in WebAssembly', { reason: `${NATIVE} ${reason}` })
  return await web(options)
}

/** The error instead, when a package is not installed. */
async function orMissing<T>(loading: Promise<T>): Promise<T | Error> {
  return await loading.catch((error: unknown) => {
    if (codeOf(error) === 'PLUGIN_NOT_INSTALLED') return error as Error
    throw error
  })
}

/** Imports an optional peer by name, so that this package compiles and runs without it. */
async function load<T>(name: string, factory: string): Promise<(options?: object) => T | Promise<T>> {
  let found: unknown
  try {
    const module: Record<string, unknown> = await import(name)
    found = module[factory]
  } catch (cause) {
    if (!isMissing(cause, name)) throw cause
    throw errors.PLUGIN_NOT_INSTALLED({ package: name, install: installLine(name) }, cause)
  }
  if (typeof found === 'function') return found as (options?: object) => T | Promise<T>
  throw errors.PLUGIN_INVALID({ plugin: name, issues: [`it does not export ${factory}`] })
}

/** The runtime's dependency must not download files for GPUs during its installation. */
function installLine(name: string): string {
  const line = `npm install ${name}`
  return name === NATIVE ? `ONNXRUNTIME_NODE_INSTALL=skip ${line}` : line
}

/** The package itself, not one that it needs. */
function isMissing(cause: unknown, name: string): boolean {
  if (!(cause instanceof Error) || !('code' in cause) || cause.code !== 'ERR_MODULE_NOT_FOUND') return false
  return cause.message.includes(`'${name}'`)
}
