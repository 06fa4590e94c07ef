import type { LogData, Logger, LogLevel } from '@tideway/core'

export interface DeferredLogger extends Logger {
  /** Resolves when what was said so far is written. */
  flush(): Promise<void>
}

/**
 * A logger that is made with its first message, since what writes it takes longer to load than a process that has nothing to
 * say should wait. Messages keep their order; those below `level` are dropped at once.
 *
 * @example
 * const logger = deferredLogger('warn', async () => (await import('./logger.js')).createLogger('name', 'warn'))
 */
export function deferredLogger(level: LogLevel, make: () => Promise<Logger>): DeferredLogger {
  const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']
  const waiting: ((logger: Logger) => void)[] = []
  let made: Logger | undefined
  let making: Promise<void> | undefined
  const take = (logger: Logger) => {
    made = logger
    for (const write of waiting.splice(0)) write(logger)
  }
  const say = (at: LogLevel) => (message: string, data?: LogData) => {
    if (levels.indexOf(at) < levels.indexOf(level)) return
    if (made !== undefined) return made[at](message, data)
    waiting.push((logger) => logger[at](message, data))
    making ??= make().then(take)
  }
  return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error'), flush: async () => making }
}
