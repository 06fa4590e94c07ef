import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Load } from './load.js'

export interface Paced {
  /** Of the slowest in a hundred, from when its request was due, in milliseconds. */
  readonly p99Ms: number
  /** Answers a second: less than was asked when the server, or this generator, did not keep up. */
  readonly perSecond: number
}

/** The first answers of connections and code that are cold do not count. */
const UNCOUNTED = 1 / 5

/**
 * Asks at a fixed rate, whether answers come or not (an open loop: a slow answer delays no later request's due time, so it
 * shows). Each request goes out at its due time on an idle connection, or on the first that becomes idle, and waits till
 * then at its own cost. What is sent is one prepared buffer, and of an answer only its end is looked for, so that the
 * generator takes little of the machine. Throws when an answer is no 200, or a connection ends.
 */
export async function pace(load: Omit<Load, 'cores'>, perSecond: number): Promise<Paced> {
  const request = requestOf(load)
  const total = Math.floor(perSecond * load.seconds)
  const latencies = new Float64Array(total)
  const everyMs = 1000 / perSecond
  const sockets = await Promise.all(Array.from({ length: load.connections }, () => open(load.url)))
  let [sent, answered] = [0, 0]
  let began = 0
  await new Promise<void>((resolve, reject) => {
    const idle: Asker[] = []
    const pump = (): void => {
      const now = performance.now()
      for (; sent < total && idle.length > 0 && began + sent * everyMs <= now; sent++) idle.pop()?.send(sent)
    }
    for (const socket of sockets) {
      const asker = new Asker(socket, request, (index) => {
        latencies[index] = performance.now() - (began + index * everyMs)
        idle.push(asker)
        if (++answered === total) resolve()
        else pump()
      })
      socket.once('error', reject)
      socket.once('close', () => reject(new Error(`${load.url} closed a connection`)))
      idle.push(asker)
    }
    began = performance.now()
    // Answers, which come more often than the timer fires, send what is due as well.
    const timer = setInterval(() => (sent < total ? pump() : clearInterval(timer)), 1)
  }).finally(() => {
    for (const socket of sockets) socket.removeAllListeners('close').destroy()
  })
  const achieved = total / ((performance.now() - began) / 1000)
  const counted = latencies.subarray(Math.floor(total * UNCOUNTED)).sort()
  return { p99Ms: counted[Math.floor(counted.length * 0.99)] as number, perSecond: achieved }
}

function requestOf({ url, headers, body }: Pick<Load, 'url' | 'headers' | 'body'>): Buffer {
  const { pathname, host } = new URL(url)
  const all = { host, ...headers, 'content-length': String(body.length) }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`POST ${pathname} HTTP/1.1\r\n${lines.join('')}\r\n`), body])
}

async function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  return socket
}

const NONE: Buffer = Buffer.alloc(0)

/** One connection, with at most one request under way. */
class Asker {
  private index = 0
  private head = NONE
  /** Bytes of the answer's body that are still to come; -1 while its head is. */
  private missing = -1

  constructor(
    private readonly socket: Socket,
    private readonly request: Buffer,
    private readonly answered: (index: number) => void,
  ) {
    socket.on('data', (part) => this.take(part))
  }

  send(index: number): void {
    this.index = index
    this.socket.write(this.request)
  }

  private take(part: Buffer): void {
    if (this.missing >= 0) this.missing -= part.length
    else {
      this.head = this.head.length === 0 ? part : Buffer.concat([this.head, part])
      const end = this.head.indexOf('\r\n\r\n')
      if (end < 0) return
      const length = lengthOf(this.head.toString('latin1', 0, end))
      if (length === undefined) return void this.socket.destroy(new Error(`was answered with ${this.head.toString()}`))
      this.missing = length - (this.head.length - end - 4)
    }
    if (this.missing > 0) return
    this.missing = -1
    this.head = NONE
    this.answered(this.index)
  }
}

/** Of the body behind this head, or undefined where it is no answer as it must be. */
function lengthOf(head: string): number | undefined {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  return head.startsWith('HTTP/1.1 200') && length !== undefined ? Number(length) : undefined
}
