import { sha256Hex } from '@tideway/core'
import { type Interval, wilson } from './intervals.js'
import { isHardlyChance, type Judge, type Judgement, type Measure } from './judge.js'
import type { Made } from './ladder.js'
import type { Latency } from './latency.js'
import type { LayerError } from './layers.js'
import type { Try } from './search.js'
import type { Slim } from './slim.js'

/** Pairs of classes that a report lists; those that changed most. */
const MAX_PAIRS = 2_000

export interface ClassReport {
  readonly index: number
  readonly name: string
  readonly rows: number
  readonly float: Interval & { readonly right: number }
  readonly small: Interval & { readonly right: number }
}

/** What quantizing a model cost, as plain JSON. Shares are 0 to 1, sizes bytes, latencies milliseconds. */
export interface QuantizationReport {
  readonly v: 1
  readonly model: string
  readonly recipe: string
  readonly precision: string
  readonly requires: readonly string[]
  readonly files: Readonly<Record<'float' | 'small', { readonly bytes: number; readonly sha256: string }>>
  readonly judged?: {
    readonly measure: Measure
    readonly rows: number
    readonly calibrationRows?: number
    readonly maxLoss?: number
    readonly float: number
    readonly small: number
    readonly loss: number
    readonly interval?: Interval
    readonly broken?: number
    readonly mended?: number
  }
  readonly classes?: readonly ClassReport[]
  /** Rows of class `wanted` that were called `called`, before and after; pairs that no row has are left out. */
  readonly confusion?: readonly { wanted: number; called: number; float: number; small: number }[]
  readonly latency?: {
    readonly float: Latency
    readonly small: Latency
    /** Times the float model's time. */
    readonly ratio: number
    readonly machine: string
    readonly engine: string
  }
  readonly layers: readonly LayerError[]
  readonly quantized: readonly string[]
  readonly kept: readonly { readonly node: string; readonly reason: string }[]
  readonly tries?: readonly Try[]
  /** Channels of each layer before and after, where some were removed first; numbers stored; what stayed, and why. */
  readonly pruned?: Pick<Slim, 'parameters' | 'layers' | 'kept'>
  readonly notes: readonly string[]
}

export interface ReportOrder
  extends Pick<QuantizationReport, 'model' | 'recipe' | 'tries' | 'latency' | 'layers' | 'pruned'> {
  readonly float: Uint8Array
  readonly made: Made
  readonly judged?: {
    readonly judge: Judge
    readonly judgement: Judgement
    readonly calibrationRows?: number
    readonly maxLoss?: number
  }
  readonly classNames?: readonly string[] | undefined
  readonly notes?: readonly string[]
}

export function reportOf(order: ReportOrder): QuantizationReport {
  const { model, recipe, float, made, judged, tries, latency, layers, pruned, classNames = [] } = order
  const file = (bytes: Uint8Array) => ({ bytes: bytes.byteLength, sha256: sha256Hex(bytes) })
  return {
    v: 1,
    model,
    recipe,
    precision: made.precision,
    requires: made.requires ?? [],
    files: { float: file(float), small: file(made.onnx) },
    ...(judged && judgedOf(judged, classNames)),
    ...(latency && { latency }),
    layers,
    quantized: made.quantized,
    kept: made.kept,
    ...(tries && { tries }),
    ...(pruned && { pruned }),
    notes: [...(order.notes ?? []), ...(judged ? notesOf(judged) : [])],
  }
}

function judgedOf(judged: NonNullable<ReportOrder['judged']>, names: readonly string[]) {
  const { judge, judgement, calibrationRows, maxLoss } = judged
  const { predicted, ...numbers } = judgement
  const { measure, rows } = judge
  const limits = {
    ...(calibrationRows !== undefined && { calibrationRows }),
    ...(maxLoss !== undefined && { maxLoss }),
  }
  const { score: small, ...rest } = numbers
  const said = { measure, rows, ...limits, float: judge.float.score, small, ...rest }
  const before = judge.float.predicted
  if (before === undefined || predicted === undefined) return { judged: said }
  return {
    judged: said,
    classes: classesOf(judge, before, predicted, names),
    confusion: confusionOf(judge.wanted, before, predicted),
  }
}

/** By the labels that there are: a model that gives class numbers itself may have any. */
function classesOf({ wanted }: Judge, before: Int32Array, after: Int32Array, names: readonly string[]) {
  const counts = new Map<number, { rows: number; float: number; small: number }>()
  for (const [row, label] of wanted.entries()) {
    if (label < 0) continue
    const count = counts.get(label) ?? { rows: 0, float: 0, small: 0 }
    counts.set(label, count)
    count.rows += 1
    if (before[row] === label) count.float += 1
    if (after[row] === label) count.small += 1
  }
  const sorted = [...counts].toSorted(([a], [b]) => a - b)
  return sorted.map(([at, { rows, float, small }]): ClassReport => {
    const share = (right: number) => ({ right, ...wilson(right, rows) })
    return { index: at, name: names[at] ?? String(at), rows, float: share(float), small: share(small) }
  })
}

function confusionOf(wanted: Int32Array, before: Int32Array, after: Int32Array) {
  const pairs = new Map<string, { wanted: number; called: number; float: number; small: number }>()
  const count = (label: number, called: number, side: 'float' | 'small') => {
    const key = `${label} ${called}`
    const pair = pairs.get(key) ?? { wanted: label, called, float: 0, small: 0 }
    pair[side] += 1
    pairs.set(key, pair)
  }
  for (const [row, label] of wanted.entries()) {
    count(label, before[row]!, 'float')
    count(label, after[row]!, 'small')
  }
  const change = ({ float, small }: { float: number; small: number }) => Math.abs(small - float)
  return [...pairs.values()].toSorted((a, b) => change(b) - change(a)).slice(0, MAX_PAIRS)
}

/** What a person should know before trusting the figures. */
function notesOf({ judge, maxLoss }: NonNullable<ReportOrder['judged']>): string[] {
  const notes = [...(judge.notes ?? [])]
  const { measure, rows, float } = judge
  const counts = measure === 'classes' || measure === 'agreement'
  if (counts && maxLoss !== undefined && maxLoss > 0 && rows * maxLoss < 1)
    notes.push(`${rows} rows cannot show a loss of ${maxLoss}: one row more or less is ${(1 / rows).toPrecision(2)}`)
  if (isHardlyChance(judge))
    notes.push(
      `the float model itself has ${(100 * float.score).toFixed(1)}% right, hardly more than chance: are the classes in ` +
        "the model's order? Without labels (--no-labels) what the float model says counts",
    )
  if (measure === 'values' && float.score < 0)
    notes.push('the float model itself explains nothing of the values: are they in the units that it gives?')
  return notes
}
