import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * The connections that Node reads, and how many requests each of them has under way. For Node itself one is idle as soon as its
 * answer was written: it would cut what its client has not read by then (`closeIdleConnections`). It takes one whose next head has
 * begun for busy, which would keep a server from stopping.
 */
export class NodeConnections {
  readonly #requests = new Map<Socket, number>()

  add(socket: Socket): void {
    this.#requests.set(socket, 0)
    socket.once('close', () => this.#requests.delete(socket))
  }

  /** Until the answer has left and, of a request that was refused, what its sender still sends. */
  begin(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming
    this.#count(socket, 1)
    const done = () => this.#count(socket, -1)
    outgoing.once('close', () => {
      if (incoming.complete || incoming.destroyed) done()
      else incoming.once('close', done)
    })
  }

  closeIdle(): void {
    for (const [socket, requests] of this.#requests) if (requests === 0 && !socket.writableEnded) socket.destroySoon()
  }

  #count(socket: Socket, more: number): void {
    const requests = this.#requests.get(socket)
    if (requests !== undefined) this.#requests.set(socket, requests + more)
  }
}
