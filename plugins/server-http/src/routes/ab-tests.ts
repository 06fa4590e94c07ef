import { abDeclarationSchema, abMetricSchema } from '@tideway/core'
import { z } from 'zod'
import { audit, type Deps, jsonRoute } from '../http/route.js'
import { modelParams } from '../schemas.js'
import { need } from '../services.js'

/** Of one report; a unit's key is at most as long as a header of ours may be. */
const MAX_OUTCOMES = 10_000
const unit = z.string().min(1).max(256)

const arm = z.object({ version: z.int(), units: z.int(), mean: z.number().optional() })
const view = z.object({
  result: z.enum(['promote', 'keep', 'not yet']),
  reason: z.string(),
  settledAfter: z.int().optional(),
  test: z.object({
    id: z.string(),
    model: z.string(),
    control: z.int(),
    treatment: z.int(),
    metric: abMetricSchema,
    better: z.enum(['higher', 'lower']),
    leastEffect: z.number(),
    alpha: z.number(),
    beta: z.number(),
    split: z.number(),
    maxUnits: z.int(),
    salt: z.string(),
    status: z.enum(['running', 'promoted', 'stopped']),
    actor: z.string(),
    startedAt: z.iso.datetime(),
    endedAt: z.iso.datetime().optional(),
  }),
  control: arm,
  treatment: arm,
  exposed: z.int(),
  unknown: z.int(),
  capped: z.int(),
  effect: z.object({ estimate: z.number(), low: z.number(), high: z.number() }),
  pValue: z.number(),
  ratioPValue: z.number(),
})

/** A/B tests between two versions of a model, and the outcomes that they are judged by. */
export function abTestRoutes(deps: Deps): void {
  const { services } = deps
  const path = '/v1/models/{model}/ab-test'
  jsonRoute(
    deps,
    {
      method: 'post',
      path,
      summary: 'Start an A/B test, which takes the traffic of the model over until it ends',
      role: 'operator',
      audit: 'ab-test.start',
      params: modelParams,
      body: abDeclarationSchema,
      status: 201,
      answer: view,
    },
    async ({ params: { model }, body, caller }) => {
      const started = await need(services, 'abTests').start(model, body, caller.actor.name)
      const { id, salt: _, ...test } = started.test
      await audit(deps, caller, 'ab-test.start', `${model}:${id}`, test)
      return started
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path,
      summary: 'The newest A/B test of a model, and what it says now; it may be looked at any time',
      role: 'viewer',
      params: modelParams,
      answer: view,
    },
    async ({ params }) => need(services, 'abTests').show(params.model),
  )
  jsonRoute(
    deps,
    {
      method: 'post',
      path: '/v1/models/{model}/outcomes',
      summary: 'Report what became of units of the running A/B test, each once',
      // Who asks the model knows what became of its answers.
      role: 'viewer',
      unaudited: 'outcomes are kept with the test',
      params: modelParams,
      body: z.strictObject({
        outcomes: z
          .array(z.strictObject({ id: unit, value: z.number() }))
          .min(1)
          .max(MAX_OUTCOMES),
      }),
      answer: z.object({
        accepted: z.int(),
        repeated: z.int(),
        conflicting: z.array(z.string()).readonly(),
        unknown: z.array(z.string()).readonly(),
      }),
    },
    async ({ params, body }) => need(services, 'abTests').report(params.model, body.outcomes),
  )
  jsonRoute(
    deps,
    {
      method: 'post',
      path: `${path}/promote`,
      summary: 'Let `latest` name the treatment and end the test; only after it says so, unless forced',
      role: 'operator',
      audit: 'ab-test.promote',
      params: modelParams,
      body: z.strictObject({ force: z.boolean().optional() }),
      answer: view,
    },
    async ({ params: { model }, body: { force = false }, caller }) => {
      const ended = await need(services, 'abTests').promote(model, { actor: caller.actor.name, force })
      const { result, reason, test } = ended
      await audit(deps, caller, 'ab-test.promote', `${model}:${test.id}`, {
        version: test.treatment,
        force,
        result,
        reason,
      })
      return ended
    },
  )
  jsonRoute(
    deps,
    {
      method: 'post',
      path: `${path}/stop`,
      summary: 'End the test; control answers all',
      role: 'operator',
      audit: 'ab-test.stop',
      params: modelParams,
      body: z.strictObject({}),
      answer: view,
    },
    async ({ params: { model }, caller }) => {
      const ended = await need(services, 'abTests').stop(model, caller.actor.name)
      const { result, reason, test } = ended
      await audit(deps, caller, 'ab-test.stop', `${model}:${test.id}`, { version: test.control, result, reason })
      return ended
    },
  )
}
