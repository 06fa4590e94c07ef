import type { ResolvedLoss, Tensor } from '@tideway/core'
import { GraphBuilder } from '../build/graph-builder.js'
import type { Value } from '../build/value.js'
import { differentiate } from '../gradient/differentiate.js'
import { evaluate } from '../gradient/gradient.fixture.js'

type Add = (g: GraphBuilder, prediction: Value, targets: Value) => Value
export type Rows = readonly (readonly number[])[]

const matrix = (rows: Rows): Tensor => ({
  dtype: 'float32',
  shape: [rows.length, rows[0]?.length ?? 0],
  data: Float32Array.from(rows.flat()),
})

/** A loss and its gradient by the predictions, by the graph; `targets` are rows, or class indices. */
export async function lossByGraph(
  add: Add,
  predictions: Rows,
  targets: Rows | readonly number[],
  { free = false, dtype = 'int32' as 'int32' | 'int64' } = {},
): Promise<{ loss: number; gradient: number[] }> {
  const g = new GraphBuilder('loss')
  const batch = free ? null : predictions.length
  const x = g.input('x', 'float32', [batch, predictions[0]?.length ?? 0])
  const given = tensorOf(targets, dtype)
  const t = g.input('t', given.dtype, [batch, ...given.shape.slice(1)])
  const loss = add(g, x, t)
  g.output('loss', loss)
  g.output('dx', differentiate(g, loss, [x])[0] as Value)
  const out = await evaluate(g, { x: matrix(predictions), t: given })
  return { loss: out['loss']?.[0] ?? Number.NaN, gradient: out['dx'] ?? [] }
}

function tensorOf(targets: Rows | readonly number[], dtype: 'int32' | 'int64'): Tensor {
  if (typeof targets[0] !== 'number') return matrix(targets as Rows)
  const classes = targets as readonly number[]
  if (dtype === 'int32') return { dtype, shape: [classes.length], data: Int32Array.from(classes) }
  return { dtype, shape: [classes.length], data: BigInt64Array.from(classes, BigInt) }
}

/** The slopes of a function of all predictions, by central differences in float64. */
export function slopes(loss: (predictions: Rows) => number, predictions: Rows): number[] {
  const h = 1e-6
  const moved = (row: number, column: number, by: number): Rows =>
    predictions.map((values, at) => values.map((value, place) => (at === row && place === column ? value + by : value)))
  return predictions.flatMap((values, row) =>
    values.map((_, column) => (loss(moved(row, column, h)) - loss(moved(row, column, -h))) / (2 * h)),
  )
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
const mean = (values: readonly number[]): number => sum(values) / values.length
const both = (a: Rows, b: Rows, of: (x: number, z: number) => number): number[] =>
  a.flatMap((row, at) => row.map((x, place) => of(x, b[at]?.[place] ?? Number.NaN)))

export function logSoftmax(row: readonly number[]): number[] {
  const most = Math.max(...row)
  const total = Math.log(sum(row.map((x) => Math.exp(x - most))))
  return row.map((x) => x - most - total)
}

type Of<T extends ResolvedLoss['type']> = Extract<ResolvedLoss, { readonly type: T }>

/** Losses as their definitions say, in float64: naive where that is exact enough for logits of a few units. */
export const reference = {
  softmax: (x: Rows, targets: Rows): number =>
    mean(x.map((row, at) => -sum(logSoftmax(row).map((p, place) => p * (targets[at]?.[place] ?? 0))))),
  /** What class indices, smoothing and weights make of targets. */
  distribution: (classes: readonly number[], count: number, smoothing: number, weights: readonly number[]): Rows =>
    classes.map((own) =>
      Array.from(
        { length: count },
        (_, at) => (weights[own] ?? 1) * ((at === own ? 1 - smoothing : 0) + smoothing / count),
      ),
    ),
  sigmoid: (x: Rows, targets: Rows, { labelSmoothing, positiveWeight }: Of<'sigmoidCrossEntropy'>): number =>
    mean(
      both(x, targets, (logit, target) => {
        const z = target * (1 - labelSmoothing) + labelSmoothing / 2
        const p = 1 / (1 + Math.exp(-logit))
        return -(positiveWeight * z * Math.log(p) + (1 - z) * Math.log(1 - p))
      }),
    ),
  squared: (x: Rows, t: Rows): number => mean(both(x, t, (a, b) => (a - b) ** 2)),
  absolute: (x: Rows, t: Rows): number => mean(both(x, t, (a, b) => Math.abs(a - b))),
  huber: (x: Rows, t: Rows, delta: number): number =>
    mean(
      both(x, t, (a, b) => {
        const d = Math.abs(a - b)
        return d <= delta ? d ** 2 / 2 : delta * d - delta ** 2 / 2
      }),
    ),
  triplet: (x: Rows, classes: readonly number[], margin: number): number => {
    const distance = (a: number, b: number): number => Math.hypot(...(x[a] ?? []).map((v, at) => v - (x[b]?.[at] ?? 0)))
    const rows = x.flatMap((_, anchor) => {
      const others = classes.map((own, row) => ({ own, row })).filter(({ row }) => row !== anchor)
      const to = (alike: boolean): number[] =>
        others.filter(({ own }) => (own === classes[anchor]) === alike).map(({ row }) => distance(anchor, row))
      const [near, far] = [to(true), to(false)]
      return near.length === 0 || far.length === 0 ? [] : [Math.max(0, margin + Math.max(...near) - Math.min(...far))]
    })
    return rows.length === 0 ? 0 : mean(rows)
  },
}
