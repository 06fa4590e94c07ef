import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** A TCP proxy to a port of 127.0.0.1: for links that are slow, cut, or garble what they carry. */
export interface TestProxy {
  readonly port: number
  /** Bytes passed on so far: towards the server, and back. */
  readonly bytes: { up: number; down: number }
  /** Ends every connection and refuses new ones. */
  cut(): void
  restore(): void
  close(): Promise<void>
}

export interface ProxyOptions {
  /** Limit of what comes back from the server, over all connections together. */
  readonly bytesPerSecond?: number
  /** Limit of what goes to the server. */
  readonly bytesPerSecondUp?: number
  /** Sees what goes to the server, piece by piece. */
  readonly onUp?: (piece: Buffer) => void
  /** What becomes of a piece that comes back. */
  readonly alterDown?: (piece: Buffer) => Buffer
}

/** A slow link passes this much at once, so that what is long arrives little by little. */
const SLICE_BYTES = 2_048

export async function startProxy(targetPort: number, options: ProxyOptions = {}): Promise<TestProxy> {
  const sockets = new Set<Socket>()
  const bytes = { up: 0, down: 0 }
  const unchanged = (piece: Buffer) => piece
  const up = createPacer(options.bytesPerSecondUp)
  const down = createPacer(options.bytesPerSecond)
  let isCut = false

  function pass(from: Socket, to: Socket, pace: Pacer, take: (piece: Buffer) => Buffer, count: (n: number) => void) {
    from.on('data', (piece) => {
      const slices = pace.slices(take(piece as Buffer))
      const write = async () => {
        for (const slice of slices) {
          await pace.turn(slice.length)
          if (to.destroyed) return
          count(slice.length)
          if (!to.write(slice)) await Promise.race([once(to, 'drain'), once(to, 'close')])
        }
      }
      from.pause()
      write().then(
        () => from.resume(),
        () => from.destroy(),
      )
    })
    // What is under way arrives before the end does.
    from.on('end', () => void pace.turn(0).then(() => to.end()))
  }

  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (isCut) return void client.destroy()
    const upstream = createConnection({ host: '127.0.0.1', port: targetPort, allowHalfOpen: true })
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    const see = (piece: Buffer) => {
      options.onUp?.(piece)
      return piece
    }
    pass(client, upstream, up, see, (n) => {
      bytes.up += n
    })
    pass(upstream, client, down, options.alterDown ?? unchanged, (n) => {
      bytes.down += n
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no address')
  const cut = () => {
    isCut = true
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: address.port,
    bytes,
    cut,
    restore() {
      isCut = false
    },
    async close() {
      cut()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

interface Pacer {
  slices(piece: Buffer): Buffer[]
  /** Resolves when so many bytes may pass. */
  turn(size: number): Promise<void>
}

/** One direction of a link, which all connections share. */
function createPacer(bytesPerSecond: number | undefined): Pacer {
  let freeAt = 0
  return {
    slices(piece) {
      if (bytesPerSecond === undefined) return [piece]
      const count = Math.ceil(piece.length / SLICE_BYTES)
      return Array.from({ length: count }, (_, i) => piece.subarray(i * SLICE_BYTES, (i + 1) * SLICE_BYTES))
    },
    async turn(size) {
      if (bytesPerSecond === undefined) return
      freeAt = Math.max(freeAt, Date.now()) + (size / bytesPerSecond) * 1000
      const wait = freeAt - Date.now()
      if (wait > 0) await delay(wait)
    },
  }
}
