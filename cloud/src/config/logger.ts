import type { Logger, LogLevel } from '@tideway/core'
import { pino, stdTimeFunctions } from 'pino'

/** JSON lines on standard error, with level, time, process and message; standard output is for what a command answers. */
export function createLogger(name: string, level: LogLevel = 'info'): Logger {
  const options = {
    name,
    level,
    base: { pid: process.pid },
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: stdTimeFunctions.isoTime,
  }
  const log = pino(options, pino.destination({ fd: 2, sync: true }))
  return {
    debug: (message, data) => log.debug(data ?? {}, message),
    info: (message, data) => log.info(data ?? {}, message),
    warn: (message, data) => log.warn(data ?? {}, message),
    error: (message, data) => log.error(data ?? {}, message),
  }
}
