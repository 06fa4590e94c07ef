import type { Tensors } from '../contracts/tensor.js'
import { limits } from '../wire/limits.js'
import { toJsonBytes } from '../wire/parse.js'
import { type Bins, coarsen, MAX_LEVEL } from './bins.js'
import { encodeBins } from './codec.js'
import { profileDigest } from './digest.js'
import { type Rule, rules, type SharedImages, shareImages } from './rules.js'
import type { Profile, ProfileSchema, Statistic } from './schema.js'
import { createSketch, type Sketch } from './sketch.js'
import { bindSource, createSource, type Source, sourceOf } from './sources.js'

/** Summarises inferences as they happen; no row is kept. */
export interface ProfileBuilder {
  /** Rows since the last seal. */
  readonly rows: number
  readonly errors: number
  /**
   * Takes one inference in: `inputs` and `outputs` with rows as the first dimension, and how long it took. A statistic
   * whose tensor or column is not there, or whose value is NaN or infinite, counts as missing.
   */
  observe(inputs: Tensors, outputs: Tensors, latencyMs?: number): void
  /** Counts an inference that failed. */
  observeError(): void
  /** The profile of everything since the last seal, at most 64 KiB as JSON, and starts again from nothing. */
  seal(from: Date | string, to: Date | string): Profile
}

/** Collects one statistic. */
interface Collector {
  readonly name: string
  readonly rule: Rule
  sketch: Sketch
  labels: Map<number, number>
  missing: number
}

/**
 * Creates a profile builder for a schema. Devices and the baseline use the same schema, else they cannot be compared.
 *
 * @example
 * const builder = createProfileBuilder(manifest.profile)
 * builder.observe(inputs, await session.run(inputs), 0.8)
 * const profile = builder.seal(windowStart, new Date())
 */
export function createProfileBuilder(schema: ProfileSchema): ProfileBuilder {
  const schemaDigest = profileDigest(schema)
  const sources: Source[] = []
  const images = shareImages()
  const collectors = schema.statistics.map((statistic): Collector => {
    const rule = ruleOf(statistic, sharedSource(sources, statistic), images.of)
    return { name: statistic.name, rule, ...fresh(schema, rule) }
  })
  let rows = 0
  let errors = 0
  let latency = createSketch(schema.relativeAccuracy)
  let latencies = 0

  return {
    get rows() {
      return rows
    },
    get errors() {
      return errors
    },
    observe(inputs, outputs, latencyMs) {
      let batch = 0
      for (const source of sources) {
        bindSource(source, inputs, outputs)
        batch = Math.max(batch, source.rows)
      }
      for (let row = 0; row < batch; row++) {
        images.nextRow()
        for (const collector of collectors) collect(collector, row)
      }
      rows += batch
      if (latencyMs === undefined || !Number.isFinite(latencyMs)) return
      latency.add(latencyMs)
      latencies++
    },
    observeError() {
      errors++
    },
    seal(from, to) {
      const profile = encode({
        base: { v: 1, schemaDigest, rows, errors, from: isoOf(from), to: isoOf(to) },
        collectors,
        latency: latencies > 0 ? latency.bins() : undefined,
      })
      for (const collector of collectors) Object.assign(collector, fresh(schema, collector.rule))
      rows = errors = latencies = 0
      latency = createSketch(schema.relativeAccuracy)
      return profile
    },
  }
}

function sharedSource(sources: Source[], statistic: Statistic): Source {
  const { name, side } = sourceOf(statistic)
  const known = sources.find((source) => source.name === name && source.side === side)
  if (known) return known
  const source = createSource(name, side)
  sources.push(source)
  return source
}

function ruleOf(statistic: Statistic, source: Source, images: SharedImages): Rule {
  // One entry a kind: the compiler cannot see that the entry found by `kind` takes this very member of the union.
  const rule = rules[statistic.kind] as (statistic: Statistic, source: Source, images: unknown) => Rule
  return rule(statistic, source, images)
}

function fresh(schema: ProfileSchema, rule: Rule): Pick<Collector, 'sketch' | 'labels' | 'missing'> {
  return { sketch: createSketch(schema.relativeAccuracy, rule.floor), labels: new Map(), missing: 0 }
}

function collect(collector: Collector, row: number): void {
  const value = collector.rule.read(row)
  if (!Number.isFinite(value)) collector.missing++
  else if (collector.rule.collect === 'sketch') collector.sketch.add(value)
  else collector.labels.set(value, (collector.labels.get(value) ?? 0) + 1)
}

interface Window {
  readonly base: Pick<Profile, 'v' | 'schemaDigest' | 'rows' | 'errors' | 'from' | 'to'>
  readonly collectors: readonly Collector[]
  readonly latency: Bins | undefined
}

/** Coarsens the largest sketches, one level at a time, until the profile fits. */
function encode({ base, collectors, latency }: Window): Profile {
  const sketched = collectors.filter(({ rule }) => rule.collect === 'sketch')
  const counted = collectors.filter(({ rule }) => rule.collect === 'count')
  const bins = sketched.map(({ sketch }) => sketch.bins())
  const texts = bins.map(encodeBins)
  const assemble = (): Profile => ({
    ...base,
    sketches: Object.fromEntries(sketched.map(({ name }, i) => [name, texts[i] as string])),
    counts: Object.fromEntries(counted.map(({ name, labels }) => [name, labelled(labels)])),
    missing: Object.fromEntries(collectors.flatMap(({ name, missing }) => (missing > 0 ? [[name, missing]] : []))),
    ...(latency && { latencyMs: encodeBins(latency) }),
  })
  let excess = toJsonBytes(assemble()).byteLength - limits.maxBaselineBytes
  while (excess > 0) {
    const order = bins.map((_, i) => i).filter((i) => (bins[i] as Bins).level < MAX_LEVEL)
    if (order.length === 0) break
    const widest = order.reduce((best, i) => ((texts[i] as string).length > (texts[best] as string).length ? i : best))
    const before = (texts[widest] as string).length
    bins[widest] = coarsen(bins[widest] as Bins, (bins[widest] as Bins).level + 1)
    texts[widest] = encodeBins(bins[widest])
    excess -= before - texts[widest].length
  }
  return assemble()
}

function labelled(labels: ReadonlyMap<number, number>): Record<string, number> {
  return Object.fromEntries([...labels].sort(([a], [b]) => a - b))
}

function isoOf(time: Date | string): string {
  return (typeof time === 'string' ? new Date(time) : time).toISOString()
}
