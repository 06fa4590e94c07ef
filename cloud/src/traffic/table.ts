import type { Logger, TrafficRecord, TrafficStore, VersionRecord } from '@tideway/core'
import { versionsIn } from '@tideway/core/versions'
import type { ModelHost } from '../serving/model-host.js'
import { Shadow, type ShadowOptions } from './shadow.js'
import { Standing } from './standing.js'

/** How soon what another process set is heard of. */
const POLL_MS = 500
/** When versions that could not be loaded are tried again. */
const RETRY_MS = 10_000

export interface TableOptions {
  readonly store: () => TrafficStore
  readonly resolve: (model: string, version: string) => Promise<VersionRecord>
  readonly host: Pick<ModelHost, 'session' | 'pin'>
  readonly mirror: (version: VersionRecord) => Pick<ShadowOptions, 'run' | 'isIdle'>
  readonly logger: () => Pick<Logger, 'error'>
  /** In [0, 1), for requests without a key. */
  readonly random: () => number
}

/** A policy that is set and does not answer here yet. */
interface Coming {
  readonly record: TrafficRecord
  state: 'loading' | 'failed'
  reason: string
  retryAt: number
}

/**
 * The policies that answer in this process. What it sets itself is in force at once; what another one sets is heard of within
 * half a second and in force once its versions are loaded: the one before goes on until then.
 */
export class TrafficTable {
  readonly #options: TableOptions
  readonly #standing = new Map<string, Standing>()
  readonly #coming = new Map<string, Coming>()
  #cursor = 0
  #timer: NodeJS.Timeout | undefined
  #polling: Promise<void> | undefined

  constructor(options: TableOptions) {
    this.#options = options
  }

  /** For each request: undefined where no policy was set. */
  standing(model: string): Standing | undefined {
    return this.#standing.get(model)
  }

  coming(model: string): Coming | undefined {
    return this.#coming.get(model)
  }

  /** Every policy of the store is in force from the start, though its first requests may wait for their version. */
  async start(): Promise<void> {
    for (const record of await this.#options.store().since(0)) {
      this.#cursor = record.id
      await this.enter(record)
      this.#load(record).catch((error: unknown) => this.#log(record, error))
    }
    this.#timer = setInterval(() => {
      this.#polling ??= this.#poll()
        .catch(() => undefined)
        .finally(() => {
          this.#polling = undefined
        })
    }, POLL_MS)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#polling
    for (const { shadow } of this.#standing.values()) await shadow?.close()
  }

  /** Lets a policy answer from now on, unless a newer one does. */
  async enter(record: TrafficRecord): Promise<void> {
    const { host, mirror, random } = this.#options
    const { model, policy } = record
    const versions = await this.#versions(record)
    const before = this.#standing.get(model)
    if (before !== undefined && before.record.id >= record.id) return
    const shadowed = policy.shadow && versions.get(policy.shadow.version)
    const shadow = policy.shadow && shadowed ? new Shadow({ ...policy.shadow, ...mirror(shadowed), random }) : undefined
    this.#standing.set(model, new Standing(record, versions, shadow, random))
    if ((this.#coming.get(model)?.record.id ?? 0) <= record.id) this.#coming.delete(model)
    host.pin(model, digestsOf(versions))
    void before?.shadow?.close()
  }

  /** Takes back what was pinned for a policy that did not come. */
  async restore(model: string): Promise<void> {
    const standing = this.#standing.get(model)
    this.#options.host.pin(model, standing === undefined ? [] : digestsOf(await this.#versions(standing.record)))
  }

  async #poll(): Promise<void> {
    for (const record of await this.#options.store().since(this.#cursor)) {
      this.#cursor = record.id
      if ((this.standing(record.model)?.record.id ?? 0) < record.id) this.#follow(record)
    }
    const now = performance.now()
    for (const { record, state, retryAt } of this.#coming.values())
      if (state === 'failed' && now >= retryAt) this.#follow(record)
  }

  #follow(record: TrafficRecord): void {
    const coming: Coming = { record, state: 'loading', reason: 'its versions are being loaded', retryAt: 0 }
    this.#coming.set(record.model, coming)
    this.#load(record)
      .then(() => this.enter(record))
      .catch((error: unknown) => {
        coming.state = 'failed'
        coming.reason = String(error)
        coming.retryAt = performance.now() + RETRY_MS
        this.#log(record, error)
      })
  }

  /** One after the other: two large models may not fit while they are tried. */
  async #load(record: TrafficRecord): Promise<void> {
    const { host } = this.#options
    const versions = await this.#versions(record)
    const standing = this.#standing.get(record.model)
    const kept = standing === undefined ? [] : digestsOf(await this.#versions(standing.record))
    host.pin(record.model, [...new Set([...kept, ...digestsOf(versions)])])
    for (const version of versions.values()) await host.session(version)
  }

  async #versions({ model, policy }: TrafficRecord): Promise<ReadonlyMap<number, VersionRecord>> {
    const { resolve } = this.#options
    const records = versionsIn(policy).map(async (number) => [number, await resolve(model, String(number))] as const)
    return new Map(await Promise.all(records))
  }

  #log({ model, id }: TrafficRecord, error: unknown): void {
    this.#options.logger().error('a traffic policy is not in force here', { model, policy: id, error: String(error) })
  }
}

function digestsOf(versions: ReadonlyMap<number, VersionRecord>): string[] {
  return [...versions.values()].map(({ manifestDigest }) => manifestDigest)
}
