import {
  codeOf,
  definePlugin,
  type Envelope,
  errors,
  narrow,
  type ReportedState,
  type ReportIntake,
  reportedSchema,
  tokens,
} from '@tideway/core'

/** A device's clock may run ahead by so much; a state from further ahead would hide the true ones that follow. */
const MAX_AHEAD_MS = 5 * 60_000

/**
 * The one way in for reports, over the link and over HTTP: commit them, then let the answer go out as the
 * acknowledgement, then tell the registry of devices and the monitor. A monitor that fails loses nothing: it reads
 * the store again at its next start.
 */
export const intake = definePlugin({
  name: 'report-intake',
  provides: [tokens.intake],
  needs: [tokens.reportStore, tokens.deviceStore, tokens.cloudLink, tokens.logger],
  wants: [tokens.monitor],
  register(scope) {
    const logger = scope.get(tokens.logger)
    let stop: (() => Promise<void>) | undefined

    /** What a stored report says beyond being stored; one that is not understood hides none of the others. */
    async function note(fresh: readonly Envelope[], receivedAt: string): Promise<void> {
      const devices = scope.get(tokens.deviceStore)
      const newest = new Map(fresh.map((envelope) => [envelope.device, envelope]))
      for (const { device, fleet } of newest.values())
        await attempt({ device }, () => devices.seen({ id: device, fleet, at: receivedAt }))
      for (const envelope of fresh)
        if (envelope.kind === 'state')
          await attempt(envelope, () => devices.setReported(stateOf(envelope, new Date(receivedAt))))
      if (scope.has(tokens.monitor)) await attempt({}, () => scope.get(tokens.monitor).observe(fresh))
    }

    async function attempt(of: { device?: string; seq?: number }, work: () => Promise<unknown>): Promise<void> {
      try {
        await work()
      } catch (error) {
        const { device, seq } = of
        logger.warn('a stored report was not understood', { device, seq, code: codeOf(error), error: String(error) })
      }
    }

    const service: ReportIntake = {
      async accept(envelopes, receivedAt) {
        const stored = await scope.get(tokens.reportStore).append(envelopes, receivedAt)
        await note(stored.fresh, receivedAt)
        return stored
      },
    }
    scope.provide(tokens.intake, () => service)

    return {
      async start() {
        const link = scope.get(tokens.cloudLink)
        const devices = scope.get(tokens.deviceStore)
        const failed = (error: unknown) => logger.warn('reported state was not kept', { error: String(error) })
        const stops = [
          await link.consumeReports(async (batch, at) => (await service.accept(batch, at)).acks),
          await link.watchReported((reported) => {
            devices
              .seen({ id: reported.device, fleet: reported.fleet, at: new Date().toISOString() })
              .then(() => devices.setReported(reported))
              .catch(failed)
          }),
        ]
        stop = async () => {
          for (const end of stops) await end()
        }
      },
      stop: () => stop?.(),
    }
  },
})

/** The state that a report carries. Throws `INPUT_REJECTED` for another device's. A time far ahead is replaced. */
function stateOf({ body, device, fleet }: Envelope, received: Date): ReportedState {
  const state = narrow(reportedSchema, body, 'state report')
  const issues: string[] = []
  if (state.device !== device) issues.push(`device: is not ${device}, which sent it`)
  if (state.fleet !== fleet) issues.push(`fleet: is not ${fleet}, which sent it`)
  if (issues.length > 0) throw errors.INPUT_REJECTED({ what: 'state report', issues })
  const ahead = Date.parse(state.at) - received.getTime() > MAX_AHEAD_MS
  return ahead ? { ...state, at: received.toISOString() } : state
}
