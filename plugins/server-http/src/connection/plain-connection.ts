import type { Socket } from 'node:net'
import type { BinaryBody } from '@tideway/core'
import { type Awaited, stallWatch } from '../http/stalls.js'
import type { Exchange } from './exchange.js'
import { writeAnswer } from './plain-answer.js'
import { type BodyHost, PlainBody } from './plain-body.js'
import { type PlainHead, readPlainHead } from './plain-head.js'

export interface PlainOptions {
  /** Answers a request, or says that it is not for it. */
  readonly take: (exchange: Exchange) => boolean
  /** Takes a connection over, with all that was not answered. */
  readonly handOver: (socket: Socket) => void
  /** Until the first request. */
  readonly headersTimeoutMs: number
  /** From the first byte of a request to its last. */
  readonly requestTimeoutMs: number
  /** Between an answer and the next request. */
  readonly keepAliveTimeoutMs: number
  /** Within an answer: who takes nothing of it for so long is cut. */
  readonly bodyIdleMs: number
  /** Fires when the server stops: connections are not used again. */
  readonly stopping: AbortSignal
}

const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n'

/**
 * A connection whose requests are all of the inference protocol and written in the plainest way, read without the machinery that
 * reads all of HTTP: with a small model, that takes longer than everything else. The first request that is not so goes to Node's
 * own HTTP server, and the connection with it.
 */
export class PlainConnection implements BodyHost {
  #asked: PlainExchange | undefined
  /** Came while another request was being answered. */
  #ahead: Buffer | undefined
  #lastHead: PlainHead | undefined
  #flows = true
  /** Until the first request. */
  readonly #first: Awaited
  /** From the last answer on. Looked after for as long as the connection is, since to begin and end it with each request costs more. */
  #between: Awaited | undefined
  readonly #listeners = {
    data: (part: Buffer) => this.#come(part),
    end: () => this.#end(),
    // A close follows.
    error: () => undefined,
    close: () => this.#closed(),
    timeout: () => this.socket.destroy(),
  }

  constructor(
    readonly socket: Socket,
    readonly options: PlainOptions,
    private readonly onLeave: (connection: PlainConnection) => void,
  ) {
    this.#first = stallWatch(options.headersTimeoutMs).begin(() => this.#timeOut())
    for (const [event, listener] of Object.entries(this.#listeners)) socket.on(event, listener)
  }

  /** Nothing was asked that is not answered. */
  get isIdle(): boolean {
    return this.#asked === undefined && this.#ahead === undefined
  }

  closeIfIdle(): void {
    if (this.isIdle && !this.socket.writableEnded) this.#close()
  }

  flow(flows: boolean): void {
    if (flows === this.#flows) return
    this.#flows = flows
    if (flows) this.socket.resume()
    else this.socket.pause()
  }

  giveUp(): void {
    this.#close()
  }

  /** Goes on behind a request of which nothing is left. */
  next(): void {
    const closes = this.#asked?.closes
    if (!closes && this.socket.writableNeedDrain) return this.#awaitReader()
    this.#asked = undefined
    if (closes) return this.#close()
    if (this.#ahead !== undefined) return void setImmediate(() => this.#begin())
    this.#awaitNext()
    this.flow(true)
  }

  /** Who does not read is not asked for more. */
  #awaitReader(): void {
    const { socket } = this
    socket.setTimeout(this.options.bodyIdleMs)
    socket.once('drain', () => {
      socket.setTimeout(0)
      this.next()
    })
  }

  #awaitNext(): void {
    const watch = stallWatch(this.options.keepAliveTimeoutMs)
    if (this.#between !== undefined) return watch.heard(this.#between)
    this.#between = watch.begin(() => {
      this.#between = undefined
      this.closeIfIdle()
    })
  }

  #come(part: Buffer): void {
    if (this.socket.writableEnded) return
    const asked = this.#asked
    let rest: Uint8Array | undefined = part
    if (asked !== undefined && !asked.body.isWhole) {
      if (performance.now() > asked.dueMs) return this.#timeOut()
      rest = asked.body.take(part)
      if (rest === undefined) return
    }
    const isNext = this.isIdle
    this.#ahead = this.#ahead === undefined ? (rest as Buffer) : Buffer.concat([this.#ahead, rest])
    if (isNext) this.#begin()
    // The one that is being answered comes first.
    else this.flow(false)
  }

  /** Takes up the request that has come ahead. */
  #begin(): void {
    const bytes = this.#ahead as Buffer
    const { socket, options } = this
    // What comes behind a request that closes the connection is not taken up.
    if (!socket.writable) return
    if (this.#lastHead === undefined) stallWatch(options.headersTimeoutMs).end(this.#first)
    const head = this.#headOf(bytes)
    if (head === undefined) return this.#handOver(bytes)
    const asked = new PlainExchange(this, head)
    const headBytes = head.bytes.byteLength
    this.#asked = asked
    this.#ahead = bytes.byteLength > headBytes ? (asked.body.take(bytes.subarray(headBytes)) as Buffer) : undefined
    if (!asked.body.isWhole) asked.dueMs = performance.now() + options.requestTimeoutMs
    this.flow(this.#ahead === undefined)
    if (!options.take(asked)) this.#handOver(bytes)
  }

  /** A client's requests mostly have one and the same. */
  #headOf(bytes: Buffer): PlainHead | undefined {
    const last = this.#lastHead
    if (last !== undefined) {
      const { byteLength } = last.bytes
      if (bytes.byteLength >= byteLength && last.bytes.compare(bytes, 0, byteLength) === 0) return last
    }
    this.#lastHead = readPlainHead(bytes)
    return this.#lastHead
  }

  #handOver(bytes: Buffer): void {
    const { socket } = this
    this.#leave()
    for (const [event, listener] of Object.entries(this.#listeners)) socket.off(event, listener)
    socket.pause()
    socket.unshift(bytes)
    this.options.handOver(socket)
    // Node's server reads on with the event, also where it has stopped meanwhile since nobody takes the body: then bodies of any
    // length would be held in memory.
    socket.once('resume', () => socket.isPaused() && socket.emit('pause'))
    socket.resume()
  }

  /** As Node answers who takes too long. */
  #timeOut(): void {
    if (!this.socket.writableEnded) this.socket.end(TIMED_OUT, 'latin1')
    this.#close()
  }

  /** As Node's server has it, who sends no more reads no more. */
  #end(): void {
    this.#close()
  }

  /** What was written to it goes out first, if it is taken. */
  #close(): void {
    this.socket.setTimeout(this.options.bodyIdleMs)
    this.socket.destroySoon()
  }

  #closed(): void {
    this.#asked?.body.abort()
    this.#leave()
  }

  #leave(): void {
    const { headersTimeoutMs, keepAliveTimeoutMs } = this.options
    stallWatch(headersTimeoutMs).end(this.#first)
    if (this.#between) stallWatch(keepAliveTimeoutMs).end(this.#between)
    this.onLeave(this)
  }
}

/** One request on it. */
class PlainExchange implements Exchange {
  readonly body: PlainBody
  /** When the last of it must have come, on the clock of `performance.now()`. */
  dueMs = Number.POSITIVE_INFINITY
  answered = false
  closes = false

  constructor(
    private readonly connection: PlainConnection,
    private readonly head: PlainHead,
  ) {
    this.body = new PlainBody(head, connection)
  }

  get method(): string {
    return this.head.method
  }

  get url(): string {
    return this.head.url
  }

  get headers(): PlainHead['headers'] {
    return this.head.headers
  }

  get source(): PlainBody {
    return this.body
  }

  get socket(): Socket {
    return this.connection.socket
  }

  answer(status: number, names: readonly string[], body: string | BinaryBody): void {
    const { connection, socket } = this
    this.answered = true
    if (socket.destroyed || socket.writableEnded) return
    this.closes = this.head.closes || connection.options.stopping.aborted
    const keepSeconds = this.closes ? undefined : Math.floor(connection.options.keepAliveTimeoutMs / 1000)
    writeAnswer(socket, { status, names, body, keepSeconds })
    if (this.body.isWhole) connection.next()
    else this.body.drain()
  }

  destroy(): void {
    this.socket.destroy()
  }
}
