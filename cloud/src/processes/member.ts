import type { Socket } from 'node:net'
import {
  type Actor,
  type Credentials,
  createHost,
  type Host,
  type Registry,
  resolveServing,
  type Serving,
  tokens,
} from '@tideway/core'
import { metricsPrometheus } from '@tideway/metrics-prometheus'
import { onnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createDoor, type Door } from '@tideway/server-http'
import { createLogger } from '../config/logger.js'
import { part } from '../part.js'
import { exposures } from '../roles/exposures.js'
import { serving } from '../roles/serving.js'
import { tracesOf } from '../roles/traces.js'
import { RelayedAccess } from './access.js'
import { Channel, type Port } from './channel.js'
import { grouped, processOf, type ServingProcess } from './group.js'
import { CONNECTION, EVENTS, type MemberConfig, type MemberControl, OBJECTS } from './messages.js'

/**
 * A process that runs models for requests, and nothing else: what it needs of the store it asks the process that started it,
 * which also accepts the connections that it answers on. It ends with that process.
 */
class Member implements MemberControl {
  private readonly channel = new Channel(process as unknown as Port)
  private host: Host | undefined
  private door: Door | undefined
  private stopping: Promise<void> | undefined

  constructor() {
    this.channel.expose(OBJECTS.member, {
      start: (config: MemberConfig) => this.start(config),
      stop: () => this.stop(),
      statistics: () => this.own().statistics(),
      metrics: () => this.own().metrics(),
      index: () => this.own().index(),
      load: (model: string) => this.own().load(model),
      unload: (model: string) => this.own().unload(model),
      traffic: (model: string) => this.own().traffic(model),
    })
    process.on('message', (message, socket) => {
      if (message === CONNECTION && socket !== undefined) this.take(socket as Socket)
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
    logs,
    traces,
  }: MemberConfig): Promise<void> {
    const host = createHost()
    host.use(
      part(tokens.logger, () => createLogger('tideway serving', logs.level)),
      metricsPrometheus(),
      ...(await tracesOf(traces)),
      part(tokens.registry, () => this.registry()),
      part(tokens.chunkStore, () => this.channel.remote(OBJECTS.chunkStore)),
      part(tokens.trafficStore, () => this.channel.remote(OBJECTS.trafficStore)),
      part(tokens.abTestStore, () => this.channel.remote(OBJECTS.abTestStore)),
      onnxNodeRuntime(),
      serving(resolveServing(config)),
      exposures(),
    )
    await host.start()
    this.host = host
    const asked = this.channel.remote<{ identify(credentials: Credentials): Promise<Actor> }>(OBJECTS.access)
    const group = this.channel.remote<ServingProcess>(OBJECTS.group)
    const [statistics, logger] = [host.get(tokens.statistics), host.get(tokens.logger)]
    statistics.gatherFrom(() => group.statistics())
    const services = {
      registry: host.get(tokens.registry),
      serving: grouped(host.get(tokens.serving), group),
      statistics,
      logger,
      metrics: host.get(tokens.metrics),
      ...(host.has(tokens.tracer) && { tracer: host.get(tokens.tracer) }),
      access: new RelayedAccess(accessRequired, (credentials) => asked.identify(credentials)),
    }
    const cors = { origins: [...corsOrigins] }
    this.door = createDoor(services, { routes: 'inference', cors, stickyHeader, logRequests: logs.requests })
  }

  stop(): Promise<void> {
    this.stopping ??= (async () => {
      await this.door?.stop()
      await this.host?.stop()
    })()
    return this.stopping
  }

  private take(socket: Socket): void {
    socket.once('close', () => this.channel.tell(EVENTS.closed))
    if (this.door === undefined) socket.destroy()
    else this.door.take(socket)
  }

  private own(): ServingProcess {
    const host = this.host as Host
    return processOf({
      serving: host.get(tokens.serving) as Required<Serving>,
      statistics: host.get(tokens.statistics),
      traffic: host.get(tokens.traffic),
      metrics: host.get(tokens.metrics),
    })
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
