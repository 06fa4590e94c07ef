import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { Logger } from '@tideway/core'
import { Channel } from './channel.js'
import type { ServingProcess } from './group.js'
import { Line } from './line.js'
import { EVENTS, type MemberConfig, type MemberControl, memberFile, OBJECTS } from './messages.js'

export interface PoolOptions {
  readonly processes: number
  readonly config: MemberConfig
  /** What a member may call: by the names in `OBJECTS`. */
  readonly objects: Readonly<Record<string, object>>
  /** Before a process that has been started takes connections. */
  readonly catchUp?: (process: ServingProcess) => Promise<void>
  readonly logger: Logger
  /** For what is in flight when it stops, in milliseconds. */
  readonly stopGraceMs: number
  /** The built file that members run. */
  readonly file?: URL
}

/** A process of the pool, and what it has to do. */
interface Member {
  readonly child: ChildProcess
  readonly channel: Channel
  /** Connections that it has, or is to have. */
  connections: number
  /** Those that it is to have. */
  readonly line: Line
}

/** A process that ends is started again at once, and if it does not come up, ever later up to this, in milliseconds. */
const MAX_PAUSE_MS = 30_000
/** Connections that wait for a process; more are closed. */
const MAX_WAITING = 1_024
/**
 * Of each half of the young generation, in mebibytes: garbage of requests dies there. All of it from the start: V8 would let it
 * grow as what survives adds up, and a process would still be growing after hours of the same load.
 */
const YOUNG_MIB = 16

/**
 * Processes that serve the same models on one address. This one accepts connections and gives each to the process that has the
 * fewest: where a system shares one listening socket among processes, the first to wake takes most of them.
 */
export class Pool {
  private readonly members = new Set<Member>()
  private readonly starting = new Set<ChildProcess>()
  private readonly waiting: Socket[] = []
  private readonly server: Server
  private failures = 0
  private isStopping = false

  constructor(private readonly options: PoolOptions) {
    this.server = createServer({ pauseOnConnect: true }, (socket) => this.give(socket))
  }

  /** Resolves when all processes are ready and the address is taken, with its port; rejects with what failed. */
  async start(host: string, port: number): Promise<number> {
    try {
      await Promise.all(Array.from({ length: this.options.processes }, () => this.spawn()))
      this.server.listen(port, host)
      await once(this.server, 'listening')
    } catch (error) {
      await this.stop()
      throw error
    }
    return (this.server.address() as { port: number }).port
  }

  /** Those that are ready. */
  processes(): readonly ServingProcess[] {
    return [...this.members].map(({ channel }) => channel.remote<ServingProcess>(OBJECTS.member))
  }

  /** Of those that are ready, for who watches them. */
  pids(): readonly number[] {
    return [...this.members].flatMap(({ child }) => child.pid ?? [])
  }

  tell(event: string, value: unknown): void {
    for (const { channel } of this.members) channel.tell(event, value)
  }

  async stop(): Promise<void> {
    this.isStopping = true
    this.server.close()
    for (const socket of this.waiting.splice(0)) socket.destroy()
    const starting = [...this.starting].map((child) => {
      const ended = new Promise((resolve) => child.once('close', resolve))
      // It takes no other signal.
      child.kill('SIGKILL')
      return ended
    })
    await Promise.all([...[...this.members].map((member) => this.end(member)), ...starting])
  }

  private async spawn(): Promise<void> {
    const { config, objects, file = memberFile } = this.options
    const child = fork(file, [], {
      // The parent's flags (of a test runner, say) are not the child's.
      execArgv: ['min', 'max'].map((bound) => `--${bound}-semi-space-size=${YOUNG_MIB}`),
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const channel = new Channel(child)
    for (const [name, object] of Object.entries(objects)) channel.expose(name, object)
    const control = channel.remote<MemberControl>(OBJECTS.member)
    const line = new Line({
      child,
      answer: () => control.ping(),
      spare: (sockets) => this.spare(member, sockets),
      lost: (socket) => this.lost(member, socket),
    })
    const member: Member = { child, channel, connections: 0, line }
    channel.on(EVENTS.closed, () => member.connections--)
    channel.on(EVENTS.taken, () => line.taken())
    // Not `exit`: what it said last has come by then.
    child.once('close', (code, signal) => this.ended(member, signal ?? code))
    // As where there is no descriptor or memory for another process.
    child.on('error', (error) => {
      this.options.logger.error('a serving process fails', { error: String(error) })
      // One that was made ends by itself.
      if (child.pid === undefined) channel.close()
    })
    // One that could not be made has no end either.
    if (child.pid !== undefined) this.starting.add(child)
    try {
      await control.start(config)
      await this.options.catchUp?.(channel.remote<ServingProcess>(OBJECTS.member))
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    } finally {
      this.starting.delete(child)
    }
    if (this.isStopping) return this.end(member)
    this.members.add(member)
    this.failures = 0
    for (const socket of this.waiting.splice(0)) this.give(socket)
  }

  private give(socket: Socket): void {
    const idlest = this.idlest()
    if (idlest === undefined) {
      if (this.waiting.push(socket) > MAX_WAITING) this.waiting.shift()?.destroy()
    } else if (idlest.line.length >= MAX_WAITING) socket.destroy()
    else {
      idlest.connections++
      idlest.line.add(socket)
    }
  }

  /** Of those that take connections, where there are such. */
  private idlest(): Member | undefined {
    const all = [...this.members]
    const ready = all.filter(({ line }) => !line.isLate)
    return (ready.length > 0 ? ready : all).reduce<Member | undefined>(
      (least, member) => (least === undefined || member.connections < least.connections ? member : least),
      undefined,
    )
  }

  /** To others, where there are such. */
  private spare(member: Member, sockets: readonly Socket[]): void {
    member.connections -= sockets.length
    for (const socket of sockets) this.give(socket)
  }

  /** Where there is no other process, it would be lost again. */
  private lost(member: Member, socket: Socket): void {
    if ([...this.members].some(({ line }) => !line.isLate)) return this.spare(member, [socket])
    member.connections--
    socket.destroy()
  }

  private ended(member: Member, reason: unknown): void {
    const wasReady = this.members.delete(member)
    member.channel.close()
    for (const socket of member.line.left()) {
      if (this.isStopping) socket.destroy()
      else this.give(socket)
    }
    // One that did not come up is told of by who started it.
    if (this.isStopping || !wasReady) return
    const { logger } = this.options
    // `pid` is who logs.
    logger.error('a serving process ended; another takes its place', { processPid: member.child.pid, reason })
    this.respawn()
  }

  private respawn(): void {
    const pause = this.failures === 0 ? 0 : Math.min(MAX_PAUSE_MS, 500 * 2 ** this.failures)
    setTimeout(() => {
      if (this.isStopping) return
      this.spawn().catch((error: unknown) => {
        if (this.isStopping) return
        this.failures++
        this.options.logger.error('a serving process does not start', { error: String(error) })
        this.respawn()
      })
    }, pause)
  }

  private async end(member: Member): Promise<void> {
    const { child, channel, line } = member
    const hasEnded = child.exitCode !== null || child.signalCode !== null
    const exited = hasEnded ? undefined : new Promise((resolve) => child.once('exit', resolve))
    const cut = setTimeout(() => child.kill('SIGKILL'), this.options.stopGraceMs)
    // So that it answers what was asked on them.
    await line.emptied()
    await channel
      .remote<MemberControl>(OBJECTS.member)
      .stop()
      .catch(() => undefined)
    if (child.connected) child.disconnect()
    await exited
    clearTimeout(cut)
    // Of a channel that this end closed Node tells no end.
    this.members.delete(member)
  }
}
