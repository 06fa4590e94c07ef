import { definePlugin, tokens } from '@tideway/core'
import { createAbTests } from '../abtests/service.js'
import { exposuresToken } from './exposures.js'

/** A/B tests between versions of a model. */
export const abTests = definePlugin({
  name: 'ab-tests',
  provides: [tokens.abTests],
  needs: [tokens.registry, tokens.traffic, tokens.abTestStore, exposuresToken],
  register(scope) {
    scope.provide(tokens.abTests, () =>
      createAbTests({
        registry: scope.get(tokens.registry),
        traffic: scope.get(tokens.traffic),
        store: scope.get(tokens.abTestStore),
        exposures: scope.get(exposuresToken),
      }),
    )
  },
})
