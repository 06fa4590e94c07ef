import type { Consumer, JsMsg } from '@nats-io/jetstream'
import { backoffMs, codeOf, type Logger, sleep } from '@tideway/core'
import type { Following } from './follow.js'

export interface PullOptions {
  readonly following: Following
  /** Finds or makes the consumer; asked again after every failure, as a restarted server may have lost it. */
  readonly consumer: () => Promise<Consumer>
  /** How many messages may be asked for; resolves when there is room for one. */
  readonly room: () => Promise<number>
  readonly onMessage: (message: JsMsg) => void
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** A server that restarted does not know the requests made before: short ones, so that none is waited for in vain. */
const EXPIRES_MS = 2_000
const WATCHDOG_MS = EXPIRES_MS + 2_000

/** Pulls messages until the signal fires, across restarts of the server. */
export async function pullForever(options: PullOptions): Promise<void> {
  const { signal, logger } = options
  let consumer: Consumer | undefined
  let failures = 0
  while (!signal.aborted) {
    try {
      await options.following.up(signal)
      const room = await options.room()
      if (signal.aborted) return
      consumer ??= await options.consumer()
      await pullOnce(consumer, room, options)
      failures = 0
    } catch (error) {
      consumer = undefined
      if (signal.aborted) return
      logger.debug('pulling failed', { code: codeOf(error), error: String(error) })
      await sleep(backoffMs(failures, 2_000), signal)
      failures += 1
    }
  }
}

async function pullOnce(
  consumer: Consumer,
  room: number,
  { onMessage, signal, following }: PullOptions,
): Promise<void> {
  const messages = await consumer.fetch({ max_messages: room, expires: EXPIRES_MS })
  let late = false
  const stop = () => messages.stop()
  const watchdog = setTimeout(() => {
    late = true
    stop()
  }, WATCHDOG_MS)
  signal.addEventListener('abort', stop)
  const off = following.onDown(stop)
  try {
    for await (const message of messages) onMessage(message)
  } finally {
    clearTimeout(watchdog)
    off()
    signal.removeEventListener('abort', stop)
  }
  if (late) throw new Error(`no end of a pull within ${WATCHDOG_MS} ms`)
}
