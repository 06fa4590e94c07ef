import type { ReportedState, Runtime } from '@tideway/core'
import type { ModelSlot, Phase } from './model/slot.js'
import type { OutboxStats } from './reports/outbox.js'
import { modelFileOf } from './update/variant.js'

export interface ModelStatus {
  /** Of the wanted version; what is active is told by the digests. */
  readonly status: Phase
  /** Generation of the desired state that `status` answers. */
  readonly generation: number
  readonly version?: number
  readonly manifestDigest?: string
  readonly variant?: string
  /** sha256 of the active variant's model file. */
  readonly variantDigest?: string
  readonly error?: { readonly code: string; readonly message: string; readonly manifestDigest?: string }
  /** Counted since the agent started. */
  readonly inferences: number
  readonly errors: number
  /** That arrived for the wanted version since the agent started. */
  readonly bytesFetched: number
  /** Over the last 2,048 inferences, in milliseconds. */
  readonly p50Ms?: number
  readonly p99Ms?: number
}

export interface EdgeStatus {
  readonly device: string
  readonly fleet: string
  readonly boot: string
  readonly generation: number
  readonly connected: boolean
  readonly models: Readonly<Record<string, ModelStatus>>
  readonly outbox: OutboxStats
}

export function modelStatus(slot: ModelSlot): ModelStatus {
  const { progress, active, latencies } = slot
  return {
    status: progress.phase,
    generation: progress.generation,
    ...(active && {
      version: active.installed.version,
      manifestDigest: active.installed.manifestDigest,
      variant: active.installed.variant,
      variantDigest: modelFileOf(active.variant).sha256,
    }),
    ...(progress.error && { error: progress.error }),
    inferences: slot.inferences,
    errors: slot.failures,
    bytesFetched: slot.bytesFetched,
    p50Ms: latencies.quantile(0.5),
    p99Ms: latencies.quantile(0.99),
  }
}

/** The wire's form of the status. */
export function reportedState(
  { device, fleet, generation, models }: Pick<EdgeStatus, 'device' | 'fleet' | 'generation' | 'models'>,
  runtime: Runtime,
): ReportedState {
  const wire = Object.entries(models).map(([name, model]) => {
    const { status, manifestDigest, version, variant, variantDigest, error, bytesFetched } = model
    return [name, { status, manifestDigest, version, variant, variantDigest, error, bytesFetched }] as const
  })
  return {
    v: 1,
    device,
    fleet,
    generation,
    models: Object.fromEntries(wire),
    runtime: { name: runtime.name, providers: runtime.flags.providers },
    at: new Date().toISOString(),
  }
}
