import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brokerAedes } from '@tideway/broker-aedes'
import {
  type CloudConfig,
  definePlugin,
  type Host,
  type LogData,
  type Logger,
  type Monitor,
  openAccess,
  type PluginUse,
  type Quantizer,
  resolveConfig,
  silentLogger,
  type Token,
  tokens,
  type WireInfo,
} from '@tideway/core'
import { monitorDrift } from '@tideway/monitor-drift'
import { storePostgres } from '@tideway/store-postgres'
import { putFreshStore } from '@tideway/test/support/fresh-store'
import { transportMqtt } from '@tideway/transport-mqtt'
import { transportNats } from '@tideway/transport-nats'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createCloud } from './up.js'

let dir: string
let host: Host | undefined

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-up-'))
})
afterEach(async () => {
  await host?.stop()
  host = undefined
  await rm(dir, { recursive: true, force: true })
})

async function cloudWith(config: CloudConfig): Promise<Host> {
  const free = { dir, http: { port: 0 }, broker: { port: 0 } }
  host = await createCloud(resolveConfig(free, config), silentLogger)
  return host
}

const withPlugins = (...plugins: PluginUse[]) => cloudWith({ plugins })

/** A plugin that gives one thing in place of ours. */
function giving<T>(token: Token<T>, thing: T): PluginUse {
  return definePlugin({ name: 'mine', provides: [token], register: (scope) => scope.provide(token, () => thing) })()
}

describe('a part of the cloud', () => {
  const monitor: Monitor = {
    observe: async () => undefined,
    verdicts: async () => [],
    onAlert: () => undefined,
  }

  it.each([
    ['says that it needs it', [tokens.reportStore]],
    ['stands where ours did', []],
  ])('that replaces the monitor reads the store when it starts, as it %s', async (_, needs) => {
    let replayed: number | undefined
    const mine = definePlugin({
      name: 'my-monitor',
      provides: [tokens.monitor],
      needs,
      register(scope) {
        scope.provide(tokens.monitor, () => monitor)
        return {
          async start() {
            replayed = (await scope.get(tokens.reportStore).read({})).length
          },
        }
      },
    })
    const cloud = await withPlugins(mine(), transportMqtt(), brokerAedes({ port: 0 }))
    await putFreshStore(dir)
    await cloud.start()
    expect(replayed).toBe(0)
    expect(cloud.get(tokens.monitor)).toBe(monitor)
    // The broker and the transport are the user's too, and start in their order.
    expect(cloud.get(tokens.wire).mqttUrl).toBe(cloud.get(tokens.broker).url)
  })

  it('that replaces the quantizer, the logger or the wire is used', async () => {
    const quantizer = { name: 'mine' } as Quantizer
    expect((await withPlugins(giving(tokens.quantizer, quantizer))).get(tokens.quantizer)).toBe(quantizer)
    const logger: Logger = { ...silentLogger }
    expect((await withPlugins(giving(tokens.logger, logger))).get(tokens.logger)).toBe(logger)
    const wire: WireInfo = { transport: 'mqtt', mqttUrl: 'mqtt://edge.example:1883' }
    expect((await withPlugins(giving(tokens.wire, wire))).get(tokens.wire)).toBe(wire)
  })
})

describe('one of our own plugins with options of the user', () => {
  it('replaces the one with the options of the cloud', async () => {
    expect((await withPlugins(monitorDrift({ alarmRate: 0.0001 }))).has(tokens.monitor)).toBe(true)
    const store = await withPlugins(storePostgres({ url: 'postgres://127.0.0.1/none', chunksDir: dir }))
    expect(store.has(tokens.reportStore)).toBe(true)
  })

  it('is the transport, without an embedded broker, and says to devices where it is', async () => {
    const mqtt = await withPlugins(transportMqtt({ url: 'mqtt://u:p@broker.example:1883' }))
    expect(mqtt.get(tokens.wire).mqttUrl).toBe('mqtt://broker.example:1883')
    const nats = await withPlugins(transportNats({ url: 'nats://nats.example:4222' }))
    expect(nats.get(tokens.wire)).toEqual({ transport: 'nats', natsUrl: 'nats://nats.example:4222' })
    for (const cloud of [mqtt, nats]) expect(cloud.has(tokens.broker)).toBe(false)
    expect(mqtt.has(tokens.jobQueue) && nats.has(tokens.jobQueue)).toBe(true)
  })
})

describe('a trainer without the role api', () => {
  const roles = ['trainer'] as const

  it('says what it lacks: the cloud that it works for and the server that holds the queue', async () => {
    await expect(cloudWith({ roles })).rejects.toMatchObject({
      code: 'TRAINER_INCOMPLETE',
      data: { missing: ['--cloud URL', '--nats URL'] },
    })
    await expect(cloudWith({ roles, nats: { url: 'nats://a' } })).rejects.toMatchObject({
      data: { missing: ['--cloud URL'] },
    })
    await expect(cloudWith({ roles: ['monitor', 'trainer'] })).rejects.toMatchObject({ code: 'TRAINER_INCOMPLETE' })
  })

  it('has both, and no store', async () => {
    const cloud = await cloudWith({ roles, nats: { url: 'nats://a' }, cloud: { url: 'http://127.0.0.1:4400' } })
    expect(cloud.has(tokens.registry)).toBe(false)
    expect(cloud.has(tokens.server)).toBe(false)
  })
})

it('a folder of chunks without a PostgreSQL server is refused: the embedded store has its own', async () => {
  await expect(cloudWith({ postgres: { chunksDir: dir } })).rejects.toMatchObject({ code: 'PLUGIN_OPTIONS_INVALID' })
})

describe('a server of the user', () => {
  const server = giving(tokens.server, { url: undefined })
  const told = async (config: CloudConfig) => {
    const lines: unknown[] = []
    const logger = { ...silentLogger, warn: (_: string, data?: LogData) => void lines.push(data) }
    host = await createCloud(resolveConfig({ dir }, config), logger)
    return lines
  }

  it('does not hear what is said of ours, which is told', async () => {
    const http = { port: 24_012, limits: { maxInferBodyBytes: 1 } }
    expect(await told({ http, plugins: [server] })).toEqual([{ options: ['http.port', 'http.limits'] }])
    expect(await told({ plugins: [server] })).toEqual([])
    expect(await told({ http })).toEqual([])
  })
})

describe('credentials that are asked for', () => {
  it.each<[string, CloudConfig, RegExp]>([
    ['beyond loopback', { http: { host: '0.0.0.0' } }, /^listening on 0\.0\.0\.0 .*keys create/],
    ['by a second server', { grpc: { host: '0.0.0.0' } }, /^listening on 0\.0\.0\.0 /],
    ['by the configuration', { access: { required: true } }, /^credentials are required by the configuration/],
  ])('%s are missed before anything is opened', async (_, config, message) => {
    await expect(cloudWith(config)).rejects.toMatchObject({
      code: 'CREDENTIALS_REQUIRED',
      message: expect.stringMatching(message) as string,
    })
    expect(await readdir(dir)).toEqual([])
  })

  it('may be those of a store that is there, of a key in the configuration, or of a plugin', async () => {
    const open = { http: { host: '0.0.0.0', port: 0 } }
    await cloudWith({ http: { ...open.http, apiKeys: ['0123456789abcdef'] } })
    await cloudWith({ ...open, plugins: [giving(tokens.access, openAccess)] })
    const first = await cloudWith({})
    await putFreshStore(dir)
    await first.start()
    const { key } = (await first.get(tokens.access).keys?.create({ name: 'first', roles: ['admin'] }, 'local')) ?? {}
    await first.stop()
    const second = await cloudWith(open)
    await second.start()
    expect(await second.get(tokens.access).identify({ authorization: `Bearer ${key}` })).toMatchObject({
      roles: ['admin'],
    })
  })
})

describe('providers for training', () => {
  it('reach the trainer, and one that is none is named before anything starts', async () => {
    const bad = cloudWith({ trainer: { providers: ['cpu', 'gpu'] } })
    await expect(bad).rejects.toThrow(/providers\.1: gpu is none of cpu, .*webgpu/)
    const cloud = await cloudWith({ trainer: { providers: ['webgpu', 'cpu'] } })
    expect(cloud.get(tokens.trainer).name).toBe('onnx')
  })
})

describe('what the cloud does', () => {
  it('is counted, and shown where it has an HTTP face', async () => {
    const cloud = await cloudWith({})
    await putFreshStore(dir)
    await cloud.start()
    const response = await fetch(`${cloud.get(tokens.server).url}/metrics`)
    expect(await response.text()).toMatch(/^process_resident_memory_bytes \d/m)
  })

  it('is traced where somewhere to send traces to is configured, here or as OpenTelemetry does it', async () => {
    expect((await cloudWith({})).has(tokens.tracer)).toBe(false)
    expect((await cloudWith({ traces: { url: 'http://127.0.0.1:9' } })).has(tokens.tracer)).toBe(true)
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', 'http://127.0.0.1:9')
    expect((await cloudWith({})).has(tokens.tracer)).toBe(true)
    vi.stubEnv('OTEL_SDK_DISABLED', 'true')
    expect((await cloudWith({ traces: {} })).has(tokens.tracer)).toBe(false)
    vi.unstubAllEnvs()
  })
})
