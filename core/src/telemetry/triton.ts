import type { Counter, Family, Metrics } from '../contracts/metrics.js'

/** What is counted of a version anyway, for the statistics extension; durations are nanoseconds. */
export interface VersionTotals {
  readonly answered: number
  readonly rows: number
  readonly runs: number
  readonly totalNs: number
  readonly queueNs: number
  readonly inputNs: number
  readonly inferNs: number
  readonly outputNs: number
}

type Labels = Readonly<Record<'model' | 'version', string>>
type Reason = 'REJECTED' | 'CANCELED' | 'BACKEND' | 'OTHER'

/** Triton's reasons for failures, by our codes: not run for want of room or time, given up by the client, failed in its run. */
const REASONS: Readonly<Record<string, Reason>> = {
  SERVING_BUSY: 'REJECTED',
  DEADLINE_EXCEEDED: 'REJECTED',
  CLIENT_GONE: 'CANCELED',
  RUN_FAILED: 'BACKEND',
}

const COUNTERS = {
  success: ['nv_inference_request_success', 'Requests that were answered'],
  rows: ['nv_inference_count', 'Rows that were inferred'],
  runs: ['nv_inference_exec_count', 'Runs, which requests may share'],
  total: ['nv_inference_request_duration_us', 'Of requests that were answered, in all, in microseconds'],
  queue: ['nv_inference_queue_duration_us', 'Of it until their runs began, in microseconds'],
  input: ['nv_inference_compute_input_duration_us', 'Of it from bytes to tensors, in microseconds'],
  infer: ['nv_inference_compute_infer_duration_us', 'Of it in runs, in microseconds'],
  output: ['nv_inference_compute_output_duration_us', 'Of it from tensors to bytes, in microseconds'],
} as const

export interface TritonFamilies extends Readonly<Record<keyof typeof COUNTERS, Family<Counter, keyof Labels>>> {
  readonly failures: Family<Counter, keyof Labels | 'reason'>
}

/**
 * The metrics of Triton that mean the same here (triton-inference-server/server, docs/user_guide/metrics.md), with its
 * labels, so that its dashboards and autoscalers work. Not told: its summaries, and those of its GPUs and machine, which the
 * exporters of those tell better.
 */
export function tritonFamilies(metrics: Metrics): TritonFamilies {
  const labels = ['model', 'version'] as const
  const counters = Object.entries(COUNTERS).map(
    ([key, [name, help]]) => [key, metrics.counter({ name, help, labels })] as const,
  )
  const failures = metrics.counter({
    name: 'nv_inference_request_failure',
    help: 'Requests that were not answered, by Triton’s reasons',
    labels: [...labels, 'reason'],
  })
  return { ...(Object.fromEntries(counters) as Omit<TritonFamilies, 'failures'>), failures }
}

/** One version's series of them, told from totals when they are read: they cost nothing else. */
export class TritonSeries {
  readonly #failures = new Map<Reason, Counter>()

  constructor(
    private readonly families: TritonFamilies,
    private readonly labels: Labels,
  ) {}

  failed(code: string): void {
    const reason = REASONS[code] ?? 'OTHER'
    const known = this.#failures.get(reason) ?? this.families.failures.of({ ...this.labels, reason })
    this.#failures.set(reason, known)
    known.add()
  }

  tell({ answered, rows, runs, totalNs, queueNs, inputNs, inferNs, outputNs }: VersionTotals): void {
    const micros = (ns: number) => Math.round(ns / 1_000)
    const totals: Readonly<Record<keyof typeof COUNTERS, number>> = {
      success: answered,
      rows,
      runs,
      total: micros(totalNs),
      queue: micros(queueNs),
      input: micros(inputNs),
      infer: micros(inferNs),
      output: micros(outputNs),
    }
    for (const key of keys) this.families[key].of(this.labels).reach(totals[key])
  }

  remove(): void {
    for (const key of keys) this.families[key].remove(this.labels)
    for (const reason of this.#failures.keys()) this.families.failures.remove({ ...this.labels, reason })
  }
}

const keys = Object.keys(COUNTERS) as (keyof typeof COUNTERS)[]
