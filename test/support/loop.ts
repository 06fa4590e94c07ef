import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Client, createClient } from '@tideway/client'
import type { EdgeStatus } from '@tideway/edge'
import { putFreshStore } from './fresh-store.js'
import { startNats, type TestNats } from './nats.js'
import { eventually, type RunningProcess, startNode } from './process.js'
import type { TestVersion } from './version.js'

const BINS = {
  cloud: fileURLToPath(new URL('../../cloud/dist/bin.js', import.meta.url)),
  edge: fileURLToPath(new URL('../../edge/dist/bin.js', import.meta.url)),
}
export const FLEET = 'shop'
/** For the hook that starts a loop: an embedded store takes some seconds to make, more on a busy machine. */
export const START_MS = 120_000
/** For one answer of a device's door. */
const ANSWER_MS = 30_000

type Env = Readonly<Record<string, string | undefined>>

export interface CloudOptions {
  /** Of the store; made by `startLoop`. */
  readonly dir: string
  readonly nats?: string
  readonly mqtt?: string
  readonly postgres?: string
  /** 0, any free one, by default: a cloud that is started again gets the port that it had. */
  readonly port?: number
  readonly mqttPort?: number
  readonly roles?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: Env
}

export interface TestCloud {
  readonly process: RunningProcess
  readonly pid: number
  readonly url: string
  readonly port: number
  readonly dir: string
  /** Of the embedded broker. */
  readonly mqttUrl: string | undefined
  readonly client: Client
  /** SIGTERM by default; resolves when it has ended. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** Starts the built `tideway up` and waits until it says that it is ready. */
export async function startCloud(options: CloudOptions): Promise<TestCloud> {
  const { dir, nats, mqtt, postgres, port = 0, mqttPort = 0, roles = ['api', 'monitor', 'controller'] } = options
  const flags = { dir, nats, mqtt, postgres, port, 'mqtt-port': mqttPort, roles: roles.join(',') }
  const args = Object.entries(flags).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, `${value}`]))
  const process = startNode(BINS.cloud, ['up', '--json', ...args, ...(options.args ?? [])], {
    cwd: dir,
    env: options.env,
  })
  try {
    const line = await process.waitForLine(/^\{"ready":true/, START_MS)
    const ready = JSON.parse(line) as { pid: number; url: string; mqttUrl?: string }
    return {
      process,
      pid: ready.pid,
      url: ready.url,
      port: Number(new URL(ready.url).port),
      dir,
      mqttUrl: ready.mqttUrl,
      client: createClient({ url: ready.url }),
      stop: (signal) => process.kill(signal),
    }
  } catch (error) {
    await process.kill('SIGKILL')
    throw error
  }
}

export interface DeviceOptions {
  readonly device: string
  readonly fleet?: string
  /** One of the two says which transport. */
  readonly cloud?: string
  readonly nats?: string
  readonly dir: string
  /** Default 3,600: a test flushes when it wants a report. */
  readonly reportEverySeconds?: number
  readonly args?: readonly string[]
  readonly env?: Env
  /** More to say when a wait fails: what the cloud logged. */
  readonly explain?: () => string
}

export type DeviceStatus = EdgeStatus & { readonly pid: number }
export type DeviceModel = DeviceStatus['models'][string]

export interface TestDevice {
  readonly process: RunningProcess
  readonly id: string
  readonly fleet: string
  readonly pid: number
  /** Its local door. */
  readonly url: string
  readonly dir: string
  status(): Promise<DeviceStatus>
  /** Asks until the model's status passes the check; throws with the last one after `timeoutMs`. */
  untilModel(model: string, check: (status: DeviceModel) => boolean, timeoutMs?: number): Promise<DeviceModel>
  /** Until this version is the active one. */
  untilActive(version: TestVersion, timeoutMs?: number): Promise<DeviceModel>
  /** The first output for one row, through the local door; throws with the answer when it is not 200. */
  infer(model: string, row: Float32Array): Promise<number[]>
  /** Sends what it saw, without waiting for acknowledgements. */
  flush(): Promise<void>
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** Starts the built `tideway-edge run` with a door on a free port, and waits until it listens. */
export async function startDevice(options: DeviceOptions): Promise<TestDevice> {
  const { device, fleet = FLEET, cloud, nats, dir, reportEverySeconds = 3_600, explain = () => '' } = options
  const wire = nats === undefined ? ['--cloud', cloud ?? ''] : ['--nats', nats]
  const process = startNode(
    BINS.edge,
    ['run', '--device', device, '--fleet', fleet, ...wire, '--dir', dir, '--listen', '127.0.0.1:0', '--json'].concat(
      ['--report-every', String(reportEverySeconds)],
      options.args ?? [],
    ),
    { env: options.env },
  )
  const line = await process.waitForLine(/^\{"listening"/).catch(async (error: unknown) => {
    await process.kill('SIGKILL')
    throw error
  })
  const { listening: url, pid } = JSON.parse(line) as { listening: string; pid: number }

  const status = async () =>
    (await (await fetch(`${url}/v1/status`, { signal: AbortSignal.timeout(ANSWER_MS) })).json()) as DeviceStatus
  const untilModel: TestDevice['untilModel'] = async (model, check, timeoutMs) => {
    let last: DeviceModel | undefined
    const passed = async () => {
      last = (await status()).models[model]
      return last !== undefined && check(last) ? last : undefined
    }
    return eventually(`${device}: ${model}`, passed, timeoutMs).catch((error: unknown) => {
      throw new Error(`${String(error)}; it says ${JSON.stringify(last)}\n${tailOf(process)}\n${explain()}`)
    })
  }
  return {
    process,
    id: device,
    fleet,
    pid,
    url,
    dir,
    status,
    untilModel,
    untilActive: ({ model, manifestDigest }, timeoutMs) =>
      untilModel(model, (now) => now.status === 'active' && now.manifestDigest === manifestDigest, timeoutMs),
    async infer(model, row) {
      const response = await fetch(`${url}/v2/models/${model}/infer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          inputs: [{ name: 'x', shape: [1, row.length], datatype: 'FP32', data: Array.from(row) }],
        }),
        signal: AbortSignal.timeout(ANSWER_MS),
      })
      const text = await response.text()
      if (!response.ok) throw new Error(`${device} answered ${response.status}: ${text.slice(0, 500)}`)
      return (JSON.parse(text) as { outputs: { data: number[] }[] }).outputs[0]!.data
    },
    async flush() {
      await (await fetch(`${url}/v1/flush`, { method: 'POST', signal: AbortSignal.timeout(ANSWER_MS) })).arrayBuffer()
    },
    stop: (signal) => process.kill(signal),
  }
}

/** A cloud with what it needs, and the devices of a test: all of it is stopped by `close`, whatever happened. */
export interface Loop {
  /** The running one: another after `restartCloud`. */
  readonly cloud: TestCloud
  readonly client: Client
  /** On NATS. */
  readonly nats: TestNats | undefined
  /** The port of the cloud's side that a device's model comes from: what a proxy stands before. */
  readonly port: number
  /** Starts a device, straight or through a proxy's port; the same `dir` again is the same device started again. */
  device(options: { device: string; port?: number } & Partial<DeviceOptions>): Promise<TestDevice>
  /** Stops it with the signal and starts it again on the same directory and ports. */
  restartCloud(signal?: NodeJS.Signals): Promise<void>
  /** A folder that is removed in the end. */
  folder(): Promise<string>
  /** Called by `close`, the last first. */
  defer(stop: () => unknown): void
  /** Asks the cloud until what it knows of a device passes the check. */
  untilReported(device: string, check: (model: ReportedModel) => boolean, model: string): Promise<ReportedModel>
  close(): Promise<void>
}

type ReportedState = NonNullable<Awaited<ReturnType<Client['device']>>['reported']>
export type ReportedModel = ReportedState['models'][string]

/** Embedded (MQTT and HTTP), or on a nats-server of its own when the path of one is given. */
export async function startLoop(
  options: { natsServer?: string } & Partial<Omit<CloudOptions, 'nats'>> = {},
): Promise<Loop> {
  const { natsServer, ...given } = options
  const stops: (() => unknown)[] = []
  const close = async () => {
    const failures: unknown[] = []
    for (const stop of stops.splice(0).reverse()) {
      try {
        await stop()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be stopped')
  }
  const folder = async () => {
    const dir = await mkdtemp(join(tmpdir(), 'tideway-e2e-'))
    stops.push(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }))
    return dir
  }
  try {
    const dir = given.dir ?? (await folder())
    if (given.dir === undefined && given.postgres === undefined) await putFreshStore(dir)
    const nats = natsServer === undefined ? undefined : await startNats(natsServer)
    if (nats !== undefined) stops.push(() => nats.close())
    let cloud = await startCloud({ ...given, dir, nats: nats?.url })
    stops.push(() => cloud.stop())
    return {
      get cloud() {
        return cloud
      },
      get client() {
        return cloud.client
      },
      nats,
      get port() {
        return nats === undefined ? cloud.port : Number(new URL(nats.url).port)
      },
      async device({ device, port, ...more }) {
        const target = nats === undefined ? { cloud: cloud.url } : { nats: nats.url }
        const wire = port === undefined ? target : through(target, port)
        const started = await startDevice({
          device,
          dir: more.dir ?? (await folder()),
          explain: () => `the cloud (${cloud.pid}):\n${tailOf(cloud.process)}`,
          ...wire,
          ...more,
        })
        stops.push(() => started.stop('SIGKILL'))
        return started
      },
      async restartCloud(signal) {
        await cloud.stop(signal)
        const mqttPort = cloud.mqttUrl === undefined ? undefined : Number(new URL(cloud.mqttUrl).port)
        cloud = await startCloud({ ...given, dir, nats: nats?.url, port: cloud.port, mqttPort })
      },
      folder,
      defer: (stop) => void stops.push(stop),
      async untilReported(device, check, model) {
        let last: ReportedModel | undefined
        const passed = async () => {
          const record = (await cloud.client.devices()).find(({ id }) => id === device)
          last = record?.reported?.models[model]
          return last !== undefined && check(last) ? last : undefined
        }
        return eventually(`the cloud's word on ${device}`, passed).catch((error: unknown) => {
          throw new Error(`${String(error)}; it is ${JSON.stringify(last)}`)
        })
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function tailOf(process: RunningProcess): string {
  return process.lines.slice(-10).join('\n')
}

function through(target: { cloud?: string; nats?: string }, port: number): { cloud?: string; nats?: string } {
  if (target.nats !== undefined) return { nats: `nats://127.0.0.1:${port}` }
  return { cloud: `http://127.0.0.1:${port}` }
}
