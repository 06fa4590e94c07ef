import type { Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import type { AbTestStore, Actor, ChunkStore, Credentials, Registry, TrafficStore } from '@tideway/core'
import { resolveServing, Statistics } from '@tideway/core/serving'
import { prometheusMetrics } from '@tideway/metrics-prometheus/metrics'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createDoor, type Door } from '@tideway/server-http/listen'
import { Exposures } from '../abtests/exposures.js'
import { createLogger } from '../config/logger.js'
import { startTracer } from '../roles/traces.js'
import { createStoredServing } from '../serving/stored-service.js'
import { RelayedAccess } from './access.js'
import { Channel, type Port } from './channel.js'
import { grouped, processOf, type ServingProcess } from './group.js'
import { CONNECTION, EVENTS, type MemberConfig, type MemberControl, OBJECTS } from './messages.js'

// The way of a request is one of many small functions. Twice as much as usual in one piece of optimized code takes some hundredths
// less time (six comparisons in pairs, dense network in binary: 2 to 7). A flag that V8 does not know is told, and passed over.
setFlagsFromString('--max-inlined-bytecode-size=1000')
setFlagsFromString('--max-inlined-bytecode-size-cumulative=2400')

/**
 * A process that runs models for requests, and nothing else: what it needs of the store it asks the process that started it,
 * which also accepts the connections that it answers on. It ends with that process.
 */
class Member implements MemberControl {
  private readonly channel = new Channel(process as unknown as Port)
  private running: { readonly process: ServingProcess; stop(): Promise<void> } | undefined
  private door: Door | undefined
  private stopping: Promise<void> | undefined

  constructor() {
    this.channel.expose(OBJECTS.member, {
      start: (config: MemberConfig) => this.start(config),
      stop: () => this.stop(),
      ping: () => this.ping(),
      statistics: () => this.own().statistics(),
      metrics: () => this.own().metrics(),
      index: () => this.own().index(),
      load: (model: string) => this.own().load(model),
      unload: (model: string) => this.own().unload(model),
      traffic: (model: string) => this.own().traffic(model),
    })
    process.on('message', (message, socket) => {
      if (message === CONNECTION) this.take(socket as Socket | undefined)
    })
    process.once('disconnect', () => void this.stop().finally(() => process.exit(0)))
    // The parent decides when it ends: a signal to the whole group of processes (Ctrl-C) must not cut what is in flight.
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined)
  }

  async start({
    serving: config,
    accessRequired,
    corsOrigins,
    stickyHeader,
    limits,
    logs,
    traces,
  }: MemberConfig): Promise<void> {
    const logger = createLogger('tideway serving', logs.level)
    const metrics = prometheusMetrics({ logger: () => logger })
    const traced = await startTracer(traces, { logger, metrics })
    const registry = this.registry()
    const runtime = createOnnxNodeRuntime()
    const chunks = this.channel.remote<ChunkStore>(OBJECTS.chunkStore)
    const trafficStore = this.channel.remote<TrafficStore>(OBJECTS.trafficStore)
    const abTestStore = this.channel.remote<AbTestStore>(OBJECTS.abTestStore)
    const service = createStoredServing(resolveServing(config), {
      registry: () => registry,
      chunks: () => chunks,
      trafficStore: () => trafficStore,
      runtime: () => runtime,
      logger: () => logger,
      metrics: () => metrics,
    })
    const statistics = new Statistics(metrics, service.loaded)
    const exposures = new Exposures(
      () => abTestStore,
      () => logger,
    )
    await service.start()
    service.traffic.onUnit((test, unit) => exposures.saw(test, unit))
    const asked = this.channel.remote<{ identify(credentials: Credentials): Promise<Actor> }>(OBJECTS.access)
    const group = this.channel.remote<ServingProcess>(OBJECTS.group)
    statistics.gatherFrom(() => group.statistics())
    const { serving, traffic } = service
    this.running = {
      process: processOf({ serving, statistics, traffic, metrics }),
      async stop() {
        await exposures.flush()
        await service.stop()
        await traced?.stop()
      },
    }
    const services = {
      registry,
      serving: grouped(serving, group),
      statistics,
      logger,
      metrics,
      ...(traced && { tracer: traced.tracer }),
      access: new RelayedAccess(accessRequired, (credentials) => asked.identify(credentials)),
    }
    const cors = { origins: [...corsOrigins] }
    this.door = createDoor(services, { routes: 'inference', cors, stickyHeader, limits, logRequests: logs.requests })
  }

  stop(): Promise<void> {
    this.stopping ??= (async () => {
      await this.door?.stop()
      await this.running?.stop()
    })()
    return this.stopping
  }

  async ping(): Promise<void> {}

  /** Undefined: it was closed before it could be sent. */
  private take(socket: Socket | undefined): void {
    if (socket === undefined) {
      this.channel.tell(EVENTS.taken)
      return this.channel.tell(EVENTS.closed)
    }
    socket.once('close', () => this.channel.tell(EVENTS.closed))
    // Read only then: a connection that is not known to be taken is another's when this process ends.
    this.channel.tell(EVENTS.taken, undefined, () => {
      if (this.door === undefined) socket.destroy()
      else this.door.take(socket)
    })
  }

  private own(): ServingProcess {
    if (this.running === undefined) throw new Error('a process was asked for its part before it was started')
    return this.running.process
  }

  private registry(): Registry {
    return this.channel.remote<Registry>(OBJECTS.registry, {
      onChange: (listener) => {
        this.channel.on(EVENTS.changed, (model) => listener(String(model)))
        return () => undefined
      },
    })
  }
}

new Member()
