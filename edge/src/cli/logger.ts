import type { LogData, Logger } from '@tideway/core'

/** Logs to stderr: one line each, as text or as JSON, so that stdout stays for answers. */
export function createStderrLogger(json: boolean): Logger {
  const write =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, data: LogData = {}): void => {
      const at = new Date().toISOString()
      const pairs = Object.entries(data).map(([key, value]) => ` ${key}=${String(value)}`)
      const line = json ? JSON.stringify({ at, level, message, ...data }) : `${at} ${level} ${message}${pairs.join('')}`
      process.stderr.write(`${line}\n`)
    }
  return { debug: () => undefined, info: write('info'), warn: write('warn'), error: write('error') }
}
