import { connect, credsAuthenticator, type NatsConnection, type NodeConnectionOptions } from '@nats-io/transport-node'
import { backoffMs, codeOf, errors as coreErrors, type Logger, sleep } from '@tideway/core'

/** How to reach and convince a NATS server; a user name and password may also stand in the url. */
export interface NatsAddress {
  /** `nats://host:port`, or several with commas. */
  readonly url: string
  readonly username?: string
  readonly password?: string
  readonly token?: string
  /** Contents of a `.creds` file. */
  readonly creds?: string
  readonly tls?: NodeConnectionOptions['tls']
}

/** `scheme://user:password@`: up to the last @, since people do not always encode those in a password. */
const CREDENTIALS = /^([a-z+]*:\/\/)?(?:([^:@]*)(?::(.*))?@)?/i

/** The address, or addresses, without user name and password. */
export function publicUrl(url: string): string {
  return url
    .split(',')
    .map((address) => address.replace(CREDENTIALS, '$1'))
    .join(',')
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text)
  } catch {
    // A stray % is part of the password.
    return text
  }
}

function connectionOptions(address: NatsAddress, name: string, maxBackoffMs: number): NodeConnectionOptions {
  const { url, creds } = address
  const inUrl = CREDENTIALS.exec(url.split(',')[0] ?? '')
  const user = address.username ?? decoded(inUrl?.[2])
  const pass = address.password ?? decoded(inUrl?.[3])
  return {
    servers: publicUrl(url).split(','),
    name,
    ...(user === undefined ? {} : { user }),
    ...(pass === undefined ? {} : { pass }),
    ...(address.token === undefined ? {} : { token: address.token }),
    ...(creds === undefined ? {} : { authenticator: credsAuthenticator(new TextEncoder().encode(creds)) }),
    ...(address.tls === undefined ? {} : { tls: address.tls }),
    maxReconnectAttempts: -1,
    // Spread, so that a server which comes back is not met by everyone at once.
    reconnectDelayHandler: () => 100 + Math.random() * maxBackoffMs,
    // Credentials may be renewed on the server's side: a refusal is not the end.
    ignoreAuthErrorAbort: true,
    timeout: 5_000,
    pingInterval: 20_000,
    maxPingOut: 2,
  }
}

/** Connects once; the connection then comes back by itself for ever. Throws `LINK_UNAVAILABLE`. */
export async function openNats(
  address: NatsAddress,
  options: { name: string; maxBackoffMs: number; inboxPrefix?: string },
): Promise<NatsConnection> {
  try {
    const { inboxPrefix } = options
    return await connect({
      ...connectionOptions(address, options.name, options.maxBackoffMs),
      ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
    })
  } catch (cause) {
    throw coreErrors.LINK_UNAVAILABLE({ url: publicUrl(address.url) }, cause)
  }
}

/** Tries until connected; undefined when the signal fired first. */
export async function openNatsForever(
  address: NatsAddress,
  options: { name: string; maxBackoffMs: number; inboxPrefix: string; logger: Logger; signal: AbortSignal },
): Promise<NatsConnection | undefined> {
  const { signal, logger } = options
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const connection = await openNats(address, options)
      if (!signal.aborted) return connection
      await connection.close()
    } catch (error) {
      logger.warn('NATS connection failed', { url: publicUrl(address.url), code: codeOf(error) })
      await sleep(backoffMs(failures, options.maxBackoffMs), signal)
    }
  }
  return undefined
}
