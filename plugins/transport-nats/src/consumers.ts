import {
  AckPolicy,
  type Consumer,
  type ConsumerConfig,
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
} from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'

/** JetStream's code for "consumer not found". */
const CONSUMER_NOT_FOUND = 10014

/**
 * A work queue's consumer, shared by every process that asks for it. The server never gives up on a message: whoever
 * takes one for the last time ends it, so that it is also counted and does not stay in the stream.
 */
export async function sharedConsumer(
  js: JetStreamClient,
  options: { stream: string; name: string; ackWaitMs: number; maxAckPending: number },
): Promise<Consumer> {
  const jsm = await js.jetstreamManager(false)
  const wanted: Partial<ConsumerConfig> = {
    durable_name: options.name,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: nanos(options.ackWaitMs),
    max_ack_pending: options.maxAckPending,
    max_deliver: -1,
    max_waiting: 4_096,
  }
  const found = await findConsumer(jsm, options.stream, options.name)
  if (found && found.config.ack_wait !== wanted.ack_wait)
    await jsm.consumers.update(options.stream, options.name, { ack_wait: nanos(options.ackWaitMs) })
  return js.consumers.getConsumerFromInfo(found ?? (await jsm.consumers.add(options.stream, wanted)))
}

/** A consumer of one reader that gives the last message of every subject and then what comes; the server forgets it. */
export async function latestConsumer(js: JetStreamClient, stream: string, subject: string): Promise<Consumer> {
  const jsm = await js.jetstreamManager(false)
  const info = await jsm.consumers.add(stream, {
    name: `latest-${crypto.randomUUID()}`,
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.LastPerSubject,
    filter_subject: subject,
    inactive_threshold: nanos(60_000),
    mem_storage: true,
  })
  return js.consumers.getConsumerFromInfo(info)
}

async function findConsumer(jsm: JetStreamManager, stream: string, name: string) {
  try {
    return await jsm.consumers.info(stream, name)
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === CONSUMER_NOT_FOUND) return undefined
    throw error
  }
}
