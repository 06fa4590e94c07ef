import { type Alert, definePlugin, type Logger, type Monitor, tokens } from '@tideway/core'
import { z } from 'zod'

const options = z.strictObject({
  url: z.url(),
  /** Attempts at each alert, a second apart and doubling. */
  attempts: z.int().min(1).max(10).default(4),
  timeoutMs: z.int().positive().default(5_000),
})
type Options = z.output<typeof options>

/**
 * Posts every alert of the monitor to a URL, as JSON.
 *
 * @example
 * export default defineConfig({ plugins: [webhook({ url: 'https://hooks.example.com/tideway' })] })
 */
export const webhook = definePlugin({
  name: 'webhook',
  host: '^0.1.0',
  options,
  needs: [tokens.monitor, tokens.logger],
  register(scope, settings) {
    const pending = new Set<Promise<void>>()
    return {
      start: () => listen(scope.get(tokens.monitor), pending, settings, scope.get(tokens.logger)),
      stop: async () => void (await Promise.allSettled(pending)),
    }
  },
})

function listen(monitor: Monitor, pending: Set<Promise<void>>, settings: Options, logger: Logger): void {
  monitor.onAlert((alert) => {
    const sent = deliver(alert, settings).catch((error: unknown) =>
      logger.error('alert was not delivered', { alert: alert.id, error: String(error) }),
    )
    pending.add(sent)
    void sent.finally(() => pending.delete(sent))
  })
}

async function deliver(alert: Alert, { url, attempts, timeoutMs }: Options): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      // The alert's id lets the receiver count one that arrives twice once.
      const headers = { 'content-type': 'application/json', 'idempotency-key': alert.id }
      const signal = AbortSignal.timeout(timeoutMs)
      const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(alert), signal })
      if (response.ok) return
      throw new Error(`status ${response.status}`)
    } catch (error) {
      if (attempt === attempts) throw error
      await new Promise((resolve) => setTimeout(resolve, 1_000 * 2 ** (attempt - 1)))
    }
  }
}
