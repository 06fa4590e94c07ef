import { type NatsConnection, errors as natsErrors } from '@nats-io/transport-node'
import { errors as coreErrors } from '@tideway/core'

/**
 * The last message of a subject, by JetStream direct get in the subject-appended form: the only one that permissions can
 * be set on. Undefined when there is none. Throws `LINK_UNAVAILABLE`.
 */
export async function lastMessage(
  connection: NatsConnection,
  options: { api: string; stream: string; subject: string; timeoutMs: number; url: string },
): Promise<Uint8Array | undefined> {
  const unavailable = (cause: unknown) => coreErrors.LINK_UNAVAILABLE({ url: options.url }, cause)
  try {
    const message = await connection.request(
      `${options.api}.DIRECT.GET.${options.stream}.${options.subject}`,
      new Uint8Array(),
      { timeout: options.timeoutMs },
    )
    const status = message.headers?.code ?? 0
    if (status === 404) return undefined
    if (status >= 300) throw unavailable(new Error(`direct get answered ${status} ${message.headers?.description}`))
    return message.data
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'TidewayError') throw cause
    throw unavailable(cause)
  }
}

/** Whether an error means that nothing answered, rather than that something refused. */
export function isUnreachable(error: unknown): boolean {
  if (error instanceof natsErrors.RequestError) return true
  return [
    natsErrors.TimeoutError,
    natsErrors.NoRespondersError,
    natsErrors.ClosedConnectionError,
    natsErrors.DrainingConnectionError,
    natsErrors.ConnectionError,
  ].some((kind) => error instanceof kind)
}
