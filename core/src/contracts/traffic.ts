import type { TrafficPolicy } from '../traffic/policy.js'

/** A policy that was set, as the store keeps it. */
export interface TrafficRecord {
  /** Rising in order of setting, over all models. */
  readonly id: number
  readonly model: string
  readonly policy: TrafficPolicy
  readonly salt: string
  /** The A/B test that it belongs to, which alone may change it. */
  readonly test?: string
  readonly actor: string
  readonly at: string
}

/** Traffic policies with their whole history. */
export interface TrafficStore {
  /**
   * Sets a model's policy. `after`: the id of the policy that the caller saw, undefined for none; throws `TRAFFIC_CHANGED`
   * when another was set since. Throws `MODEL_NOT_FOUND`.
   */
  set(entry: Omit<TrafficRecord, 'id' | 'at'> & { readonly after: number | undefined }): Promise<TrafficRecord>
  /** The newest of a model. Undefined: none was ever set. */
  current(model: string): Promise<TrafficRecord | undefined>
  /** The newest of each model whose newest is above `id`, oldest first. */
  since(id: number): Promise<TrafficRecord[]>
  /** All of a model, oldest first. Throws `MODEL_NOT_FOUND`. */
  history(model: string): Promise<TrafficRecord[]>
}

/** What the mirrored requests of a policy showed, in this process. */
export interface ShadowCounts {
  readonly agreed: number
  readonly differed: number
  /** Requests that the shadow could not answer. */
  readonly failed: number
  /** Not mirrored, since those before it were not done. */
  readonly dropped: number
  /** The time of the shadow's runs over that of the runs that answered, row by row; undefined before the first. */
  readonly latencyRatio?: number
}

/** A model's traffic: of the process that is asked and those that serve the same models with it. */
export interface TrafficView {
  readonly model: string
  readonly policy: TrafficPolicy
  /** Undefined: none was ever set. */
  readonly record?: TrafficRecord
  /** `loading` and `failed`: the policy before still answers here; a failed one is tried again. */
  readonly state: 'effective' | 'loading' | 'failed'
  /** Why it is not effective; empty where it is. */
  readonly reason: string
  /** Requests that each version answered under the policy. */
  readonly answered: Readonly<Record<string, number>>
  readonly shadow?: ShadowCounts
}

/** Which versions answer the requests for a model that name none. */
export interface Traffic {
  /** Of all processes that are gathered from. Throws `MODEL_NOT_FOUND`. */
  show(model: string): Promise<TrafficView>
  /** Of this process alone. Throws `MODEL_NOT_FOUND`. */
  here(model: string): Promise<TrafficView>
  /** From now on `show` asks these: what `here` says in each process, this one among them. */
  gatherFrom(processes: (model: string) => Promise<readonly TrafficView[]>): void
  /**
   * Loads every version of the policy, then sets it. Throws `TRAFFIC_REFUSED` naming all that cannot be honoured, and then
   * nothing is changed; `TRAFFIC_CHANGED`; `TRAFFIC_UNDER_TEST` when the standing policy belongs to another test.
   */
  set(model: string, policy: unknown, by: TrafficActor): Promise<TrafficView>
  /** Moves a blue-green policy to the other version or to the one named, a canary to another percentage. Throws as `set`. */
  switch(model: string, change: unknown, by: TrafficActor): Promise<TrafficView>
  /** Oldest first. Throws `MODEL_NOT_FOUND`. */
  history(model: string): Promise<readonly TrafficRecord[]>
  /** Calls `listener` with each unit that gets a version under an A/B test, in this process; often. Answers what ends it. */
  onUnit(listener: (test: string, unit: string) => void): () => void
}

export interface TrafficActor {
  readonly actor: string
  /** The A/B test that asks. */
  readonly test?: string
  /** Whether the policy outlives the test that asks: its last one. */
  readonly ends?: boolean
}
