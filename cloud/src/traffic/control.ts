import { randomUUID } from 'node:crypto'
import type {
  InferContext,
  InferResult,
  Logger,
  Registry,
  Tensors,
  Traffic,
  TrafficStore,
  VersionRecord,
} from '@tideway/core'
import { versionsIn } from '@tideway/core/versions'
import type { ModelHost } from '../serving/model-host.js'
import type { Runner } from '../serving/run.js'
import { createTraffic } from './service.js'
import type { Standing } from './standing.js'
import { TrafficTable } from './table.js'

export interface ControlOptions {
  readonly registry: () => Registry
  readonly store: () => TrafficStore
  readonly logger: () => Pick<Logger, 'error'>
  readonly host: ModelHost
  readonly runner: Runner
  readonly resolve: (model: string, version: string) => Promise<VersionRecord>
  /** What the alias `latest` answers with. */
  readonly latest: (model: string) => Promise<VersionRecord>
  readonly random?: () => number
}

/** Traffic policies of this process, as they are set and as they answer. */
export interface TrafficControl {
  readonly traffic: Traffic
  /** What a model's requests without a version are under; undefined, the common case, is `latest` and nothing more. */
  standing(model: string): Standing | undefined
  /** Answers a request under a policy. */
  infer(policy: Standing, model: string, inputs: Tensors, context: InferContext, called: number): Promise<InferResult>
  start(): Promise<void>
  stop(): Promise<void>
}

export function trafficControl(options: ControlOptions): TrafficControl {
  const { registry, store, logger, host, runner, resolve, latest, random = Math.random } = options
  const listeners = new Set<(test: string, unit: string) => void>()
  const table = new TrafficTable({
    store,
    resolve,
    host,
    logger,
    random,
    mirror: (version) => ({
      // Its own run is to be compared and timed, not an answer that was kept.
      run: (inputs) => runner.aside(version, inputs, { noCache: true }),
      isIdle: () => runner.isIdle,
    }),
  })
  const traffic = createTraffic({
    registry,
    store,
    table,
    resolve,
    host,
    answering: async (model) => table.standing(model)?.first ?? latest(model),
    kept: async (model) => {
      const policy = table.standing(model)?.record.policy
      return Promise.all(
        policy === undefined ? [] : versionsIn(policy).map((version) => resolve(model, String(version))),
      )
    },
    onUnit(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  })
  return {
    traffic,
    standing: (model) => table.standing(model),
    async infer(policy, model, inputs, context, called) {
      const { test } = policy.record
      // One that says nothing of itself gets a name by which its outcome can be told.
      const isNameless = test !== undefined && context.stickyKey === undefined && context.requestId === undefined
      const { version, unit } = policy.choose(isNameless ? { requestId: randomUUID() } : context)
      // Before it is run: a version that fails, fails units that were assigned to it.
      if (unit !== undefined && test !== undefined) for (const listener of listeners) listener(test, unit)
      const answer = await runner.run(version ?? (await latest(model)), inputs, context, called)
      policy.answered(inputs, answer)
      return unit === undefined ? answer : { unit, ...answer }
    },
    start: () => table.start(),
    stop: () => table.stop(),
  }
}
