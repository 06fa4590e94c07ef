import type { GraphBuilder } from '../../build/graph-builder.js'
import type { Value } from '../../build/value.js'
import { checkAlike, mean, scalar } from './common.js'

export interface SigmoidOptions {
  /** Share of each target that is moved to a half (as Keras's `BinaryCrossentropy`). */
  readonly labelSmoothing?: number
  /** What the loss of targets of 1 is multiplied by, against few of them. */
  readonly positiveWeight?: number
}

/**
 * The mean over all elements of -(w z log σ(x) + (1 - z) log(1 - σ(x))), for logits x and targets z of the same shape,
 * 0 to 1, with w the positive weight. By softplus(x) = -log(1 - σ(x)), which is stable for any finite logit. Throws `GRAPH_INVALID` for shapes that differ.
 */
export function sigmoidCrossEntropy(
  g: GraphBuilder,
  logits: Value,
  targets: Value,
  { labelSmoothing = 0, positiveWeight = 1 }: SigmoidOptions = {},
): Value {
  checkAlike('sigmoidCrossEntropy', logits, targets)
  const softplus = g.op('Softplus', [logits])
  const number = (value: number): Value => scalar(g, logits, value)
  const z =
    labelSmoothing === 0
      ? targets
      : g.op('Add', [g.op('Mul', [targets, number(1 - labelSmoothing)]), number(labelSmoothing / 2)])
  if (positiveWeight === 1) return mean(g, g.op('Sub', [softplus, g.op('Mul', [logits, z])]))
  // w z softplus(-x) + (1 - z) softplus(x), and softplus(-x) = softplus(x) - x.
  const weighted = g.op('Mul', [z, number(positiveWeight)])
  const both = g.op('Add', [weighted, g.op('Sub', [number(1), z])])
  return mean(g, g.op('Sub', [g.op('Mul', [softplus, both]), g.op('Mul', [logits, weighted])]))
}
