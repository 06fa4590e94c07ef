import type { InferTiming } from '../contracts/cloud.js'
import type { Metrics } from '../contracts/metrics.js'
import type { VersionRecord } from '../contracts/store.js'
import type { Span } from '../contracts/tracer.js'
import { InferenceSeries, inferenceFamilies } from './inference-metrics.js'
import { addInferenceSpans, type InferTimes } from './inference-spans.js'
import type { VersionTotals } from './triton.js'
import { type VersionLabels, VersionSeries } from './versions.js'

/** A request that was answered. */
export interface Answered extends InferTimes {
  readonly version: VersionRecord
  readonly timing: InferTiming | undefined
  /** Of the bodies, where the door knows. */
  readonly bytesIn?: number | undefined
  readonly bytesOut?: number | undefined
  readonly span: Span | undefined
}

/**
 * Counts and traces inference requests of every door to the models of a process. What cannot be told of a request by a
 * version that there is, is told without one: no client makes series by asking for names.
 *
 * @example
 * const observer = new InferenceObserver(metrics, (model, version) => statistics.of(model, version).totals)
 * observer.began()
 * observer.answered({ version, timing, span, beganMs, decodedMs, ranMs, endedMs })
 * observer.ended()
 */
export class InferenceObserver {
  readonly #versions: VersionSeries<InferenceSeries>
  readonly #nowhere: InferenceSeries['failed']
  #inFlight = 0

  /** `totals` are what the statistics extension tells of a version. */
  constructor(metrics: Metrics, totals: (model: string, version: string) => VersionTotals, now?: () => number) {
    const families = inferenceFamilies(metrics)
    const seriesOf = (labels: VersionLabels) =>
      new InferenceSeries(families, labels, () => totals(labels.model, labels.version))
    this.#versions = new VersionSeries(seriesOf, now)
    const nowhere = { model: '', version: '', digest: '' }
    this.#nowhere = (code) => families.failures.of({ ...nowhere, code }).add()
    const inFlight = metrics
      .gauge({ name: 'tideway_inference_requests_in_flight', help: 'Inference requests that are being answered' })
      .of({})
    metrics.onRead(() => {
      inFlight.set(this.#inFlight)
      this.#versions.forgetUnused()
      for (const series of this.#versions.all()) series.tell()
    })
  }

  /** Tells no more of a version, until it is used again. */
  forget(model: string, version: string): void {
    this.#versions.forget(model, version)
  }

  began(): void {
    this.#inFlight++
  }

  ended(): void {
    this.#inFlight--
  }

  answered(answered: Answered): void {
    const { version, timing, span, bytesIn, bytesOut } = answered
    const series = this.#versions.of(version)
    series.duration.observe((answered.endedMs - answered.beganMs) / 1e3, span?.context.traceId)
    if (timing) {
      series.queue.observe(timing.queueNs / 1e9)
      if (timing.leads) series.run.observe(timing.runNs / 1e9)
    }
    if (bytesIn !== undefined) series.bytesIn.add(bytesIn)
    if (bytesOut !== undefined) series.bytesOut.add(bytesOut)
    if (span === undefined) return
    const { model, version: number, manifestDigest } = version
    span.set({
      'tideway.model.name': model,
      'tideway.model.version': String(number),
      'tideway.model.digest': manifestDigest,
      ...(timing && { 'tideway.rows': timing.rows }),
    })
    addInferenceSpans(span, answered, timing)
  }

  /** `code` is the error's, `INTERNAL` where it has none. */
  failed(code: string, version: VersionRecord | undefined): void {
    if (version) this.#versions.of(version).failed(code)
    else this.#nowhere(code)
  }
}
