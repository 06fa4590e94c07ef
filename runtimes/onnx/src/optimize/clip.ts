import type { Clipping } from '@tideway/core'
import type { GraphBuilder } from '../build/graph-builder.js'
import type { Value } from '../build/value.js'
import { Ops } from './optimizers/rule.js'

export interface Clipped {
  readonly gradients: readonly Value[]
  /** What all gradients are still to be multiplied by: for `optimizerStep`, which may have a cheaper place for it. */
  readonly scale?: Value
}

type Rule = (ops: Ops, limit: number, gradients: readonly Value[]) => Clipped

/** Σ g² as a scalar: one operator that reads the gradient once. */
const squaredNorm = ({ g }: Ops, gradient: Value): Value => g.op('ReduceSumSquare', [gradient], { keepdims: 0n })

/** limit / max(norm, limit): 1 for gradients that are short enough, no division by 0, and NaN for NaN. */
function shrinking({ div, op, sqrt, scalar }: Ops, limit: number, squared: Value): Value {
  return div(scalar(limit), op('Max', [sqrt(squared), scalar(limit)]))
}

const rules: { readonly [By in Clipping['by']]: Rule } = {
  norm: (ops, limit, gradients) => ({
    gradients: gradients.map((gradient) => ops.mul(gradient, shrinking(ops, limit, squaredNorm(ops, gradient)))),
  }),
  globalNorm: (ops, limit, gradients) => {
    const squares = gradients.map((gradient) => squaredNorm(ops, gradient))
    const [first, ...more] = squares
    if (first === undefined) return { gradients }
    return {
      gradients,
      scale: shrinking(
        ops,
        limit,
        more.reduce((sum, square) => ops.add(sum, square), first),
      ),
    }
  },
  value: (ops, limit, gradients) => ({
    gradients: gradients.map((gradient) => ops.op('Clip', [gradient, ops.scalar(-limit), ops.scalar(limit)])),
  }),
}

/**
 * Adds the clipping of gradients, one per parameter (Keras's `clipnorm`, `global_clipnorm`, `clipvalue`; Pascanu et al.
 * 2013). `summed` is how many batches' gradients each is the sum of: it is their mean that is held to the limit.
 *
 * @example
 * const { gradients, scale } = clipGradients(g, { by: 'globalNorm', limit: 1 }, differentiate(g, loss, parameters))
 */
export function clipGradients(g: GraphBuilder, clipping: Clipping, gradients: readonly Value[], summed = 1): Clipped {
  return rules[clipping.by](new Ops(g), clipping.limit * summed, gradients)
}
