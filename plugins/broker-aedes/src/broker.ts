import { randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { type Broker, codeOf, errors as coreErrors, type Logger, limits, silentLogger } from '@tideway/core'
import { Aedes, type Client } from 'aedes'
import { identityOf, mayPublish, maySubscribe, type Principal } from './access.js'
import { errors } from './errors.js'
import { frameCounter } from './frame-limit.js'

const CLOUD_USERNAME = 'tideway-cloud'

/** Says whether a device that gives this password is who it says; required for listening beyond loopback. */
export type AuthenticateDevice = (
  identity: { readonly fleet: string; readonly device: string },
  password: string | undefined,
) => boolean | Promise<boolean>

export interface BrokerOptions {
  /** Default 127.0.0.1. Anything but loopback needs `authenticateDevice`. */
  readonly host?: string
  /** Default 0: any free port; see `url`. */
  readonly port?: number
  readonly authenticateDevice?: AuthenticateDevice
  /** Largest MQTT packet taken from a client. Default: the largest report and 1 KiB for its topic. */
  readonly maxPacketBytes?: number
  /** Connections beyond this are closed at once. Default 10,000. */
  readonly maxConnections?: number
  /** Default: made anew, at random. Give the earlier ones to a broker that takes another's place for a running link. */
  readonly cloudCredentials?: { readonly username: string; readonly password: string }
  readonly logger?: Logger
}

export interface BrokerStats {
  readonly clients: number
  /** Connections, publishes, subscriptions and packets refused, by error code. */
  readonly refused: Readonly<Record<string, number>>
}

export interface EmbeddedBroker extends Broker {
  readonly url: string
  readonly cloudCredentials: { readonly username: string; readonly password: string }
  stats(): BrokerStats
  /** Disconnects every client and frees the port. */
  close(): Promise<void>
}

/**
 * Starts an MQTT 3.1.1 broker in this process. A device connects with user name and client id `<fleet>/<device>`,
 * publishes only its own report, reported and presence topics (anything else closes its connection), and subscribes only
 * to its own desired and ack topics and its fleet's default. The cloud's link connects with `cloudCredentials`. There
 * are no sessions and no retained messages, so that memory is bounded by what is connected. Throws
 * `CREDENTIALS_REQUIRED` for a host beyond loopback without `authenticateDevice`, `BROKER_LISTEN_FAILED`.
 *
 * @example
 * const broker = await startBroker({ port: 1883 })
 * const link = await connectCloudMqtt({ url: broker.url, ...broker.cloudCredentials })
 */
export async function startBroker(options: BrokerOptions = {}): Promise<EmbeddedBroker> {
  const { host = '127.0.0.1', port = 0, maxConnections = 10_000, logger = silentLogger } = options
  const maxPacketBytes = options.maxPacketBytes ?? limits.maxReportBytes + 1024
  if (!isLoopback(host) && !options.authenticateDevice) throw coreErrors.CREDENTIALS_REQUIRED({ host })

  const cloudCredentials = options.cloudCredentials ?? {
    username: CLOUD_USERNAME,
    password: randomBytes(32).toString('base64url'),
  }
  const principals = new WeakMap<Client, Principal>()
  const refused: Record<string, number> = {}
  const refuse = (error: Error): Error => {
    const code = codeOf(error) ?? 'MQTT_CONNECT_REFUSED'
    refused[code] = (refused[code] ?? 0) + 1
    logger.warn('MQTT client refused', { code, reason: error.message })
    return error
  }

  async function authenticate(clientId: string, username: string, password: string | undefined): Promise<Principal> {
    const refusal = (reason: string) => errors.MQTT_CONNECT_REFUSED({ reason })
    if (username === cloudCredentials.username) {
      if (!sameSecret(password ?? '', cloudCredentials.password)) throw refusal('wrong password for the cloud')
      return { kind: 'cloud', username }
    }
    const identity = identityOf(username)
    if (!identity) throw refusal('no user name of the form <fleet>/<device>')
    // A connection takes over an older one with its client id: nobody may take over another device's.
    if (clientId !== username) throw refusal(`client id and user name of ${username} differ`)
    if (options.authenticateDevice && !(await options.authenticateDevice(identity, password)))
      throw refusal(`wrong password for ${username}`)
    return { kind: 'device', username, ...identity }
  }

  const aedes = await Aedes.createBroker({
    preConnect(_client, packet, done) {
      packet.clean = true
      done(null, true)
    },
    authenticate(client, username, password, answer) {
      authenticate(client.id, username ?? '', password?.toString()).then(
        (principal) => {
          principals.set(client, principal)
          answer(null, true)
        },
        (error: Error) => answer(Object.assign(refuse(error), { returnCode: 5 }), false),
      )
    },
    authorizePublish(client, packet, done) {
      const who = client ? principals.get(client) : undefined
      packet.retain = false
      if (who && mayPublish(who, packet.topic)) return done(null)
      done(refuse(errors.MQTT_PUBLISH_REFUSED({ username: who?.username ?? '', topic: packet.topic.slice(0, 200) })))
    },
    authorizeSubscribe(client, subscription, done) {
      const who = principals.get(client)
      // A null subscription answers this one filter with SUBACK 0x80 and keeps the connection.
      done(null, who && maySubscribe(who, subscription.topic) ? subscription : null)
    },
  })

  const sockets = new Set<Socket>()
  // Small packets both ways: waiting to fill a segment costs 40 ms a report.
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    limitFrames(socket, maxPacketBytes, (bytes) =>
      refuse(errors.MQTT_PACKET_TOO_LARGE({ bytes, maxBytes: maxPacketBytes })),
    )
    aedes.handle(socket)
  })
  server.maxConnections = maxConnections
  const url = await listen(server, host, port).catch(async (error: unknown) => {
    // Its heartbeat would keep the process.
    await new Promise<void>((resolve) => aedes.close(() => resolve()))
    throw error
  })
  logger.info('MQTT broker listens', { url })

  let closing: Promise<void> | undefined
  async function close(): Promise<void> {
    const closed = once(server, 'close')
    server.close()
    await new Promise<void>((resolve) => aedes.close(() => resolve()))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  return {
    url,
    cloudCredentials,
    stats: () => ({ clients: aedes.connectedClients, refused: { ...refused } }),
    close() {
      closing ??= close()
      return closing
    },
  }
}

/** Destroys the socket at the header of a packet that is too large: the broker pulls its bytes with `read`. */
function limitFrames(socket: Socket, maxBytes: number, refusal: (bytes: number) => Error): void {
  const tooLarge = frameCounter(maxBytes)
  const read = socket.read.bind(socket)
  socket.read = (size?: number): Buffer | null => {
    const bytes: unknown = read(size)
    if (!(bytes instanceof Buffer)) return null
    const over = tooLarge(bytes)
    if (over === undefined) return bytes
    socket.destroy(refusal(over))
    return null
  }
}

async function listen(server: Server, host: string, port: number): Promise<string> {
  server.listen({ host, port })
  try {
    await once(server, 'listening')
  } catch (cause) {
    throw errors.BROKER_LISTEN_FAILED({ host, port }, cause)
  }
  const address = server.address()
  if (address === null || typeof address === 'string') throw errors.BROKER_LISTEN_FAILED({ host, port })
  return `mqtt://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function sameSecret(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
