import { availableParallelism } from 'node:os'
import {
  type Credentials,
  errors as core,
  type DataPlane,
  definePlugin,
  isLoopback,
  type MetricReading,
  openAccess,
  type ResolvedServing,
  type Serving,
  servingConfigSchema,
  tokens,
} from '@tideway/core'
import { optionsSchema, urlOf } from '@tideway/server-http'
import { z } from 'zod'
import { cloudErrors } from '../errors.js'
import { grouped, processOf, ServingGroup } from '../processes/group.js'
import { EVENTS, type MemberConfig, OBJECTS } from '../processes/messages.js'
import { Pool } from '../processes/pool.js'

const options = z.strictObject({
  host: z.string().min(1),
  port: z.int().min(0).max(65_535),
  processes: z.int().min(1).max(256).default(availableParallelism),
  serving: servingConfigSchema,
  /** What its processes log and trace, as this one does. */
  observe: z.custom<Pick<MemberConfig, 'logs' | 'traces'>>(),
  /** Pages of which origins may read answers. */
  corsOrigins: z.array(z.string()).readonly().default([]),
  stickyHeader: optionsSchema.shape.stickyHeader,
  limits: optionsSchema.shape.limits,
})

/** Beside what its processes grant to requests in flight. */
const STOP_MARGIN_MS = 2_000

/**
 * Inference on an address of its own, answered by processes that do nothing else: none waits for the store, and each has a
 * core. They are asked what the cloud's own HTTP face is asked of models, and stand for one server: what one loads all do, and
 * statistics are those of all.
 */
export const dataPlane = definePlugin({
  name: 'data-plane',
  provides: [tokens.dataPlane, tokens.servingGroup],
  needs: [
    tokens.registry,
    tokens.chunkStore,
    tokens.trafficStore,
    tokens.abTestStore,
    tokens.serving,
    tokens.traffic,
    tokens.statistics,
    tokens.logger,
  ],
  wants: [tokens.metrics],
  options,
  register(scope, { host, port, processes, serving, corsOrigins, stickyHeader, limits, observe }) {
    let url: string | undefined
    let pool: Pool | undefined
    const here = () =>
      processOf({
        serving: scope.get(tokens.serving) as Required<Serving>,
        statistics: scope.get(tokens.statistics),
        traffic: scope.get(tokens.traffic),
      })
    const group = new ServingGroup(() => [here(), ...(pool?.processes() ?? [])])
    scope.provide(
      tokens.dataPlane,
      (): DataPlane => ({
        get url() {
          return url
        },
        get pids() {
          return pool?.pids() ?? []
        },
      }),
    )
    scope.provide(tokens.servingGroup, () => grouped(scope.get(tokens.serving), group))
    return {
      async start() {
        const access = scope.has(tokens.access) ? scope.get(tokens.access) : openAccess
        if (!isLoopback(host) && !access.required) throw core.CREDENTIALS_REQUIRED({ host })
        const registry = scope.get(tokens.registry)
        const threads = Math.max(1, Math.floor(availableParallelism() / processes))
        pool = new Pool({
          processes,
          config: {
            serving: { ...(serving as ResolvedServing), threads },
            accessRequired: access.required,
            corsOrigins,
            stickyHeader,
            limits,
            ...observe,
          },
          objects: {
            [OBJECTS.registry]: registry,
            [OBJECTS.chunkStore]: scope.get(tokens.chunkStore),
            [OBJECTS.trafficStore]: scope.get(tokens.trafficStore),
            [OBJECTS.abTestStore]: scope.get(tokens.abTestStore),
            [OBJECTS.group]: group,
            [OBJECTS.access]: { identify: (credentials: Credentials) => access.identify(credentials) },
          },
          catchUp: (process) => group.catchUp(process),
          logger: scope.get(tokens.logger),
          stopGraceMs: limits.stopGraceMs + STOP_MARGIN_MS,
        })
        registry.onChange?.((model) => pool?.tell(EVENTS.changed, model))
        scope.get(tokens.statistics).gatherFrom(() => group.statistics())
        scope.get(tokens.traffic).gatherFrom((model) => group.traffic(model))
        if (scope.has(tokens.metrics)) scope.get(tokens.metrics).gatherFrom?.(() => readingsOf(pool))
        try {
          url = urlOf(host, await pool.start(host, port))
        } catch (cause) {
          throw cloudErrors.DATA_PLANE_FAILED(
            { host, port, reason: cause instanceof Error ? cause.message : String(cause) },
            cause,
          )
        }
      },
      async stop() {
        await pool?.stop()
      },
    }
  },
})

/** Of those that answer: one that has just ended is left out. */
async function readingsOf(pool: Pool | undefined): Promise<(readonly MetricReading[])[]> {
  const asked = await Promise.allSettled((pool?.processes() ?? []).map((one) => one.metrics()))
  return asked.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
}
