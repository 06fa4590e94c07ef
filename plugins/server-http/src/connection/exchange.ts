import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { BinaryBody } from '@tideway/core'
import { type BodySource, sourceOf } from '../http/aligned.js'

/** Headers by lower-case name. */
export type Headers = Readonly<Record<string, string | undefined>>

/** A request and the way of its answer, whoever reads its connection. */
export interface Exchange {
  readonly method: string
  /** As in the request line: with its query, if it has one. */
  readonly url: string
  readonly headers: Headers
  readonly source: BodySource
  readonly socket: Socket
  /** Once it does, nothing else can be answered. */
  readonly answered: boolean
  /** `names`: each header's name and behind it its value; those of the connection and the length are added. */
  answer(status: number, names: string[], body: string | BinaryBody): void
  /** Where nothing can be answered any more. */
  destroy(): void
}

/** How long a sender whose body is not wanted may go on, so that it reads the answer; as the adapter does. */
export const DRAIN_MS = 500
export const MAX_DRAIN_BYTES = 64 * 1024 ** 2
/** Bytes of so little are cheaper copied than written on their own. */
export const MAX_JOINED_BYTES = 4096

/** One that Node reads. */
export class NodeExchange implements Exchange {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly socket: Socket

  constructor(
    private readonly incoming: IncomingMessage,
    private readonly outgoing: ServerResponse,
    private readonly stopping: AbortSignal,
  ) {
    this.method = incoming.method ?? ''
    this.url = incoming.url ?? ''
    // Only Set-Cookie, which no request has, is a list.
    this.headers = incoming.headers as Headers
    this.socket = incoming.socket
  }

  get source(): BodySource {
    return sourceOf(this.incoming)
  }

  get answered(): boolean {
    return this.outgoing.headersSent
  }

  answer(status: number, names: string[], body: string | BinaryBody): void {
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
    names.push('Content-Length', String(bytes))
    if (this.stopping.aborted) names.push('Connection', 'close')
    this.outgoing.writeHead(status, names)
    // Text goes out in one write with the headers, bytes in one of their own behind them.
    if (typeof body === 'string') this.outgoing.end(body, bytes === body.length ? 'latin1' : 'utf8')
    else if (bytes > MAX_JOINED_BYTES) this.outgoing.end(body.body)
    else this.outgoing.end(latin1(body.body), 'latin1')
    if (!this.incoming.readableEnded) drain(this.incoming)
  }

  destroy(): void {
    this.outgoing.destroy()
  }
}

/** A character for each byte. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

function drain(incoming: IncomingMessage): void {
  if (incoming.destroyed) return
  const timer = setTimeout(() => incoming.socket.destroySoon(), DRAIN_MS)
  let bytes = 0
  incoming.on('data', (part: Buffer) => {
    bytes += part.byteLength
    if (bytes > MAX_DRAIN_BYTES) incoming.socket.destroySoon()
  })
  for (const event of ['end', 'error', 'close']) incoming.once(event, () => clearTimeout(timer))
  incoming.resume()
}
