import { definePlugin, token, tokens } from '@tideway/core'
import { Exposures } from '../abtests/exposures.js'

export const exposuresToken = token<Exposures>('tideway/exposures@1')

/** Writes which units were answered under A/B tests: in every process that answers requests. */
export const exposures = definePlugin({
  name: 'exposures',
  provides: [exposuresToken],
  needs: [tokens.traffic, tokens.abTestStore, tokens.logger],
  register(scope) {
    const written = new Exposures(
      () => scope.get(tokens.abTestStore),
      () => scope.get(tokens.logger),
    )
    let end = () => {}
    scope.provide(exposuresToken, () => written)
    return {
      start() {
        end = scope.get(tokens.traffic).onUnit((test, unit) => written.saw(test, unit))
      },
      async stop() {
        end()
        await written.flush()
      },
    }
  },
})
