import type { Logger } from '@tideway/core'
import { pino } from 'pino'

/** JSON lines on standard error; standard output is for what a command answers. */
export function createLogger(name: string): Logger {
  const log = pino({ name, base: { pid: process.pid } }, pino.destination({ fd: 2, sync: true }))
  return {
    debug: (message, data) => log.debug(data ?? {}, message),
    info: (message, data) => log.info(data ?? {}, message),
    warn: (message, data) => log.warn(data ?? {}, message),
    error: (message, data) => log.error(data ?? {}, message),
  }
}
