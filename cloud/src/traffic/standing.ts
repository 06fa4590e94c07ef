import type { InferContext, InferResult, Share, Tensors, TrafficRecord, VersionRecord } from '@tideway/core'
import { assign, pick, sharesOf } from '@tideway/core/versions'
import type { Shadow } from './shadow.js'

/** Who answers one request. */
export interface Choice {
  /** Undefined: whatever `latest` names. */
  readonly version: VersionRecord | undefined
  /** Under an A/B test: what has got that version for good. */
  readonly unit: string | undefined
}

/** A policy in force: which version answers, and what came of it. */
export class Standing {
  private readonly shares: readonly Share[]
  private readonly sticky: boolean
  private readonly counts = new Map<number, number>()

  constructor(
    readonly record: TrafficRecord,
    /** Those of the policy by number. */
    private readonly versions: ReadonlyMap<number, VersionRecord>,
    readonly shadow: Shadow | undefined,
    private readonly random: () => number,
  ) {
    const { policy } = record
    this.shares = sharesOf(policy)
    this.sticky = 'sticky' in policy && policy.sticky
  }

  choose({ stickyKey, requestId, draw }: InferContext): Choice {
    const unit = this.record.test === undefined ? undefined : (stickyKey ?? requestId)
    return { version: this.versions.get(this.numberFor(unit ?? stickyKey, draw)), unit }
  }

  answered(inputs: Tensors, answer: InferResult): void {
    const { version } = answer.version
    this.counts.set(version, (this.counts.get(version) ?? 0) + 1)
    // `latest` may have come to name what was to be its shadow.
    if (version !== this.record.policy.shadow?.version) this.shadow?.offer(inputs, answer)
  }

  /** For metadata: all of a policy's versions take and give the same. */
  get first(): VersionRecord | undefined {
    return this.versions.get(this.shares[0]?.version ?? 0)
  }

  get answers(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.counts].sort(([a], [b]) => a - b))
  }

  private numberFor(key: string | undefined, draw: number | undefined): number {
    const { shares, record } = this
    if (shares.length <= 1) return shares[0]?.version ?? 0
    return this.sticky && key !== undefined ? assign(key, record.salt, shares) : pick(draw ?? this.random(), shares)
  }
}
