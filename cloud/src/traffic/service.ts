import { randomBytes } from 'node:crypto'
import type {
  Registry,
  Traffic,
  TrafficActor,
  TrafficPolicy,
  TrafficRecord,
  TrafficStore,
  TrafficSwitch,
  TrafficView,
} from '@tideway/core'
import { errors } from '@tideway/core/serving'
import { answeringIn, narrow, SINGLE, trafficRequestSchema, trafficSwitchSchema } from '@tideway/core/versions'
import { type CheckOptions, checkPolicy } from './check.js'
import type { TrafficTable } from './table.js'
import { together } from './together.js'

export interface TrafficOptions extends CheckOptions {
  readonly registry: () => Pick<Registry, 'versions'>
  readonly store: () => TrafficStore
  readonly table: TrafficTable
  readonly onUnit: Traffic['onUnit']
}

/** Sets, changes and shows traffic policies, one change after the other in this process. */
export function createTraffic(options: TrafficOptions): Traffic {
  const { registry, store, table } = options
  let last: Promise<unknown> = Promise.resolve()
  let gather: ((model: string) => Promise<readonly TrafficView[]>) | undefined
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work)
    last = result.catch(() => undefined)
    return result
  }

  async function current(model: string, by: TrafficActor): Promise<TrafficRecord | undefined> {
    await registry().versions(model)
    const record = await store().current(model)
    if (record?.test !== undefined && record.test !== by.test)
      throw errors.TRAFFIC_UNDER_TEST({ model, test: record.test })
    return record
  }

  async function write(model: string, policy: TrafficPolicy, before: TrafficRecord | undefined, by: TrafficActor) {
    const test = by.ends ? undefined : by.test
    const entry = { model, policy, salt: saltOf(policy, before), actor: by.actor, after: before?.id }
    const record = await store().set({ ...entry, ...(test !== undefined && { test }) })
    await table.enter(record)
    return here(model)
  }

  async function show(model: string): Promise<TrafficView> {
    const [first, ...others] = (await gather?.(model)) ?? []
    return first === undefined ? here(model) : together([first, ...others])
  }

  async function here(model: string): Promise<TrafficView> {
    await registry().versions(model)
    const record = await store().current(model)
    const standing = table.standing(model)
    const coming = table.coming(model)
    const isHere = standing?.record.id === record?.id
    const counts = standing?.shadow?.counts
    return {
      model,
      policy: record?.policy ?? SINGLE,
      ...(record && { record }),
      state: isHere ? 'effective' : (coming?.state ?? 'loading'),
      reason: isHere ? '' : (coming?.reason ?? 'this process has not heard of it yet'),
      answered: standing?.answers ?? {},
      ...(counts && { shadow: counts }),
    }
  }

  return {
    show,
    here,
    gatherFrom(processes) {
      gather = processes
    },
    history: (model) => store().history(model),
    onUnit: options.onUnit,
    set: (model, given, by) =>
      inTurn(async () => {
        const request = narrow(trafficRequestSchema, given, 'the traffic policy')
        const before = await current(model, by)
        try {
          return await write(model, await checkPolicy(model, request, options), before, by)
        } catch (error) {
          await table.restore(model)
          throw error
        }
      }),
    switch: (model, given, by) =>
      inTurn(async () => {
        const change = narrow(trafficSwitchSchema, given, 'the change')
        const before = await current(model, by)
        return write(model, changed(model, before?.policy ?? SINGLE, change), before, by)
      }),
  }
}

/** The same versions with other shares. Throws `TRAFFIC_REFUSED` where the policy has no such thing to change. */
function changed(model: string, policy: TrafficPolicy, change: TrafficSwitch): TrafficPolicy {
  if (policy.kind === 'blue-green' && !('percent' in change)) {
    const other = policy.active === 'blue' ? 'green' : 'blue'
    return { ...policy, active: 'active' in change ? change.active : other }
  }
  if (policy.kind === 'canary' && 'percent' in change) return { ...policy, percent: change.percent }
  const wanted = Object.keys(change)[0] ?? 'active'
  const issue = `a policy of kind ${policy.kind} has no ${wanted} to switch: blue-green has active, canary has percent`
  throw errors.TRAFFIC_REFUSED({ model, issues: [issue] })
}

/** The same while the versions are, so that keys stay; another one for others, so that not always the same keys go first. */
function saltOf(policy: TrafficPolicy, before: TrafficRecord | undefined): string {
  if ('salt' in policy && policy.salt !== undefined) return policy.salt
  const versions = (of: TrafficPolicy) =>
    answeringIn(of)
      .map(([, version]) => version)
      .toSorted((a, b) => Number(a) - Number(b))
      .join()
  const isSame = before !== undefined && versions(before.policy) === versions(policy)
  return isSame ? before.salt : randomBytes(12).toString('hex')
}
