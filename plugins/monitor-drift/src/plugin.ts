import { definePlugin, tokens } from '@tideway/core'
import { z } from 'zod'
import { createDriftMonitor } from './monitor.js'

/** Options; none is needed. */
export const monitorDriftOptions = z.strictObject({
  /** Chance of ever flagging a device (or fleet) on a version although nothing drifted. */
  alarmRate: z.number().positive().max(0.5).default(0.001),
  /** Rows before the first look; each next look is taken at twice as many. */
  firstLookRows: z.int().min(10).max(1_000_000).default(50),
  /** Rows after which old data are set aside, so that they do not hide new drift. */
  segmentRows: z.int().min(10).max(100_000_000).default(6400),
})

/**
 * Compares what devices see with what their model was validated on. Provides `tokens.monitor`; needs a report store and
 * a chunk store; uses the device store and the audit log when they are there.
 *
 * @example
 * export default defineConfig({ plugins: [monitorDrift({ alarmRate: 0.0001 })] })
 */
export const monitorDrift = definePlugin({
  name: 'monitor-drift',
  host: '^0.1.0',
  provides: [tokens.monitor],
  options: monitorDriftOptions,
  needs: [tokens.reportStore, tokens.chunkStore],
  wants: [tokens.deviceStore, tokens.auditLog, tokens.logger],
  register(scope, options) {
    const create = () =>
      createDriftMonitor(
        {
          reports: scope.get(tokens.reportStore),
          chunks: scope.get(tokens.chunkStore),
          ...(scope.has(tokens.deviceStore) && { devices: scope.get(tokens.deviceStore) }),
          ...(scope.has(tokens.auditLog) && { audit: scope.get(tokens.auditLog) }),
          ...(scope.has(tokens.logger) && { logger: scope.get(tokens.logger) }),
        },
        options,
      )
    let monitor: ReturnType<typeof create> | undefined
    const once = () => {
      monitor ??= create()
      return monitor
    }
    scope.provide(tokens.monitor, once)
    return { start: () => once().start() }
  },
})
