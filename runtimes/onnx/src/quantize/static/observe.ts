import type { Runtime, Signature, Tensors } from '@tideway/core'
import { errors } from '../../errors.js'
import { Histogram } from './histogram.js'
import type { Plan } from './plan.js'
import { runRows, using, type Whole, withOutputs } from './rows.js'

export interface Observed {
  /** By group of tensors with one scale. */
  readonly histograms: ReadonlyMap<string, Histogram>
  /** Dimensions of tensors, by name. */
  readonly ranks: ReadonlyMap<string, number>
  /** Values of all these tensors together for one row. */
  readonly perRow: number
}

/**
 * Runs the calibration rows once through the float model and sums up the tensors that a plan carries as integers.
 * Checked calibration only. Throws `CALIBRATION_INVALID` when the model makes NaN or infinity of the rows.
 */
export async function observe(
  model: Whole,
  plan: Plan,
  signature: Signature,
  rows: Tensors,
  runtime: Runtime,
): Promise<Observed> {
  const histograms = new Map([...plan.sources.keys()].map((group) => [group, new Histogram()]))
  const groups = new Map([...plan.sources].flatMap(([group, names]) => names.map((name) => [name, group] as const)))
  const ranks = new Map<string, number>()
  const widths = new Map<string, number>()
  const bad = new Map<string, number>()
  const look = (tensors: Tensors): void => {
    for (const [name, group] of groups) {
      const tensor = tensors[name]
      const histogram = histograms.get(group)
      if (tensor?.dtype !== 'float32' || histogram === undefined) continue
      ranks.set(name, tensor.shape.length)
      widths.set(name, tensor.data.length / Math.max(1, tensor.shape[0] ?? 1))
      const before = histogram.bad
      histogram.see(tensor.data)
      if (histogram.bad > before) bad.set(name, (bad.get(name) ?? 0) + histogram.bad - before)
    }
  }
  const inner = [...groups.keys()].filter((name) => rows[name] === undefined)
  if (inner.length === 0) look(rows)
  else
    await using(runtime, withOutputs(model, inner), async (session) => {
      for await (const tensors of runRows(session, signature, rows)) look(tensors)
    })
  const unseen = [...groups.keys()].filter((name) => !ranks.has(name))
  const issues = [
    ...[...bad].map(([name, count]) => `${name}: the model makes ${count} values of it that are not finite`),
    ...unseen.map((name) => `${name}: was never seen`),
  ]
  if (issues.length > 0) throw errors.CALIBRATION_INVALID({ issues })
  return { histograms, ranks, perRow: [...widths.values()].reduce((sum, width) => sum + width, 0) }
}
