import type { Counter, Family, Histogram, Metrics } from '../contracts/metrics.js'
import { type TritonFamilies, TritonSeries, tritonFamilies, type VersionTotals } from './triton.js'
import { type Kept, type VersionLabels, versionLabels } from './versions.js'

/** Seconds, from what a small model takes to what a client will not wait for. */
export const INFERENCE_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
]

type Label = (typeof versionLabels)[number]

/** The metrics of inference requests; one set to a process, whatever doors count in it. */
export interface InferenceFamilies {
  readonly durations: Family<Histogram, Label>
  readonly queues: Family<Histogram, Label>
  readonly runs: Family<Histogram, Label>
  readonly bytesIn: Family<Counter, Label>
  readonly bytesOut: Family<Counter, Label>
  readonly failures: Family<Counter, Label | 'code'>
  readonly triton: TritonFamilies
}

export function inferenceFamilies(metrics: Metrics): InferenceFamilies {
  const labels = versionLabels
  const histogram = (name: string, help: string) =>
    metrics.histogram({ name, help, labels, buckets: INFERENCE_SECONDS })
  const counter = (name: string, help: string) => metrics.counter({ name, help, labels })
  return {
    durations: histogram(
      'tideway_inference_request_duration_seconds',
      'Of requests that were answered, from the whole request to the whole answer',
    ),
    queues: histogram(
      'tideway_inference_queue_duration_seconds',
      'Of requests that were answered, until their run began: the version looked up and loaded, and those before it run',
    ),
    runs: histogram('tideway_inference_run_duration_seconds', 'Of runs of a model, which requests may share'),
    bytesIn: counter('tideway_inference_request_bytes_total', 'Bodies of requests that were answered'),
    bytesOut: counter('tideway_inference_response_bytes_total', 'Bodies of answers'),
    failures: metrics.counter({
      name: 'tideway_inference_failures_total',
      help: 'Requests that were not answered, by the code of their error; without a version where none was found',
      labels: [...labels, 'code'],
    }),
    triton: tritonFamilies(metrics),
  }
}

/** One version's series of them. */
export class InferenceSeries implements Kept {
  readonly duration: Histogram
  readonly queue: Histogram
  readonly run: Histogram
  readonly bytesIn: Counter
  readonly bytesOut: Counter
  readonly #failures = new Map<string, Counter>()
  readonly #triton: TritonSeries

  constructor(
    private readonly families: InferenceFamilies,
    private readonly labels: VersionLabels,
    private readonly totals: () => VersionTotals,
  ) {
    this.duration = families.durations.of(labels)
    this.queue = families.queues.of(labels)
    this.run = families.runs.of(labels)
    this.bytesIn = families.bytesIn.of(labels)
    this.bytesOut = families.bytesOut.of(labels)
    this.#triton = new TritonSeries(families.triton, { model: labels.model, version: labels.version })
  }

  /** Codes are of our catalogues, so there are not many. */
  failed(code: string): void {
    const known = this.#failures.get(code) ?? this.families.failures.of({ ...this.labels, code })
    this.#failures.set(code, known)
    known.add()
    this.#triton.failed(code)
  }

  /** Before a reading. */
  tell(): void {
    this.#triton.tell(this.totals())
  }

  remove(): void {
    const { durations, queues, runs, bytesIn, bytesOut, failures } = this.families
    for (const family of [durations, queues, runs, bytesIn, bytesOut]) family.remove(this.labels)
    for (const code of this.#failures.keys()) failures.remove({ ...this.labels, code })
    this.#triton.remove()
  }
}
