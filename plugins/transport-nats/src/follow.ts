import type { NatsConnection } from '@nats-io/transport-node'
import { errors as coreErrors, type Logger } from '@tideway/core'
import { publicUrl } from './connection.js'

/** Whether a connection is up, and what waits for it to change. The client itself lets requests run into their timeout. */
export interface Following {
  connected(): boolean
  /** Resolves when it is up (at once if it is) or the signal has fired. */
  up(signal: AbortSignal): Promise<void>
  /** The promise, or `LINK_UNAVAILABLE` as soon as the connection is lost. */
  whileUp<T>(promise: Promise<T>): Promise<T>
  /** Calls the handler when the connection is lost or closed; returns a function that takes it back. */
  onDown(handler: () => void): () => void
  onReconnect(handler: () => void): void
}

export function followNats(connection: NatsConnection, logger: Logger): Following {
  const url = publicUrl(connection.getServer())
  const downHandlers = new Set<() => void>()
  const upHandlers = new Set<() => void>()
  let isUp = true

  function goDown(): void {
    isUp = false
    for (const handler of downHandlers) handler()
  }
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') {
        logger.info('NATS connection lost', { url })
        goDown()
      } else if (status.type === 'reconnect') {
        logger.info('NATS connected again', { url: publicUrl(status.server) })
        isUp = true
        for (const handler of upHandlers) handler()
      } else if (status.type === 'error') {
        logger.warn('NATS server refused something', { error: status.error.message })
      }
    }
    goDown()
  })()

  const connected = () => isUp && !connection.isClosed()
  const onDown = (handler: () => void) => {
    downHandlers.add(handler)
    return () => void downHandlers.delete(handler)
  }
  return {
    connected,
    onDown,
    onReconnect: (handler) => void upHandlers.add(handler),
    up: (signal) =>
      new Promise((resolve) => {
        if (connected() || signal.aborted) return resolve()
        const done = () => {
          upHandlers.delete(done)
          signal.removeEventListener('abort', done)
          resolve()
        }
        upHandlers.add(done)
        signal.addEventListener('abort', done)
      }),
    async whileUp(promise) {
      let off = (): void => undefined
      const lost = new Promise<never>((_resolve, reject) => {
        off = onDown(() => reject(coreErrors.LINK_UNAVAILABLE({ url })))
      })
      try {
        return await Promise.race([promise, lost])
      } finally {
        off()
      }
    },
  }
}
