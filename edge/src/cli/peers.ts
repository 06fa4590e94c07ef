import { type EdgeLink, errors, type Logger, type Runtime } from '@tideway/core'

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
const RUNTIME = '@tideway/runtime-onnx-node'

/** Connects over NATS where a server is named, else over MQTT and HTTP. Throws `PLUGIN_NOT_INSTALLED`. */
export async function connect({ device, fleet, cloud, nats, logger }: LinkOrder): Promise<EdgeLink> {
  if (nats !== undefined) {
    const connectNats = await load<EdgeLink>(NATS, 'connectEdgeNats')
    return await connectNats({ url: nats, fleet, device, logger })
  }
  const connectMqtt = await load<EdgeLink>(MQTT, 'connectEdgeMqtt')
  return await connectMqtt({ cloudUrl: cloud, fleet, device, logger })
}

/**
 * A runtime with so many threads inside one operator: few, since a device has other work to do and idle threads of the
 * engine spin. Throws `PLUGIN_NOT_INSTALLED`.
 */
export async function createRuntime(threads: number): Promise<Runtime> {
  const create = await load<Runtime>(RUNTIME, 'createOnnxNodeRuntime')
  return await create({ intraOpThreads: threads })
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
  return name === RUNTIME ? `ONNXRUNTIME_NODE_INSTALL=skip ${line}` : line
}

/** The package itself, not one that it needs. */
function isMissing(cause: unknown, name: string): boolean {
  if (!(cause instanceof Error) || !('code' in cause) || cause.code !== 'ERR_MODULE_NOT_FOUND') return false
  return cause.message.includes(`'${name}'`)
}
