import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Of the requests on a connection. */
interface UnderWay {
  /** That have not left. */
  answers: number
  /** That still come behind their answers, as of those that were refused. */
  bodies: number
}

/**
 * The connections that Node reads, and what each of them has under way. For Node itself one is idle as soon as its answer was
 * written: it would cut what its client has not read by then (`closeIdleConnections`). It takes one whose next head has begun for
 * busy, which would keep a server from stopping.
 */
export class NodeConnections {
  readonly #open = new Map<Socket, UnderWay>()

  /** Who takes nothing of an answer for so long is cut. */
  constructor(private readonly bodyIdleMs: number) {}

  add(socket: Socket): void {
    this.#open.set(socket, { answers: 0, bodies: 0 })
    socket.once('close', () => this.#open.delete(socket))
  }

  begin(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming
    const underWay = this.#open.get(socket)
    if (underWay === undefined) return
    socket.setTimeout(this.bodyIdleMs)
    underWay.answers++
    outgoing.once('close', () => {
      underWay.answers--
      if (incoming.complete || incoming.destroyed) return
      underWay.bodies++
      incoming.once('close', () => underWay.bodies--)
    })
  }

  /** On one that was silent between requests for as long as it may, or within one: there an answer may still be made. */
  silent(socket: Socket): void {
    if (!this.#open.get(socket)?.answers || socket.writableLength > 0) socket.destroy()
  }

  closeIdle(): void {
    for (const [socket, { answers, bodies }] of this.#open)
      if (answers + bodies === 0 && !socket.writableEnded) socket.destroySoon()
  }
}
