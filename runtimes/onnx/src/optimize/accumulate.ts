import type { GraphBuilder } from '../build/graph-builder.js'
import type { Value } from '../build/value.js'
import { nextName } from './optimizers/rule.js'

/** The state that gradients are summed in from batch to batch. */
export const ACCUMULATED = 'accumulated'

/**
 * Adds a batch's gradients to those of the batches before it: a pass for each. A step over several batches is as many
 * graphs in a row: the first gives its gradients on, the next ones their sum, the last puts the sum and the number of
 * batches into `optimizerStep`. Nothing but the sums goes from one to the next, and none is left when the step is done.
 *
 * @param accumulated the sums of the batches before, in order; undefined in the first
 * @returns the sums, named `<name>_accumulated_next`
 */
export function accumulateGradients(
  g: GraphBuilder,
  names: readonly string[],
  gradients: readonly Value[],
  accumulated?: readonly Value[],
): Value[] {
  return gradients.map((gradient, at) => {
    const before = accumulated?.[at]
    const name = nextName(names[at] as string, ACCUMULATED)
    return before === undefined
      ? g.op('Identity', [gradient], {}, { name })
      : g.op('Add', [before, gradient], {}, { name })
  })
}
