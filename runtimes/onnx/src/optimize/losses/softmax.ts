import type { Tensor } from '@tideway/core'
import type { GraphBuilder } from '../../build/graph-builder.js'
import { floats, int64s, type Value } from '../../build/value.js'
import { checkAlike, checkClasses, invalid, mean, scalar } from './common.js'

export interface SoftmaxOptions {
  /** Share of each target that is spread over all classes (Szegedy et al. 2016, arXiv:1512.00567). */
  readonly labelSmoothing?: number
  /** What rows of a class are multiplied by, by its index; empty for 1. The mean is over rows, not weights (as Keras's). */
  readonly classWeights?: readonly number[]
}

/**
 * The mean over the batch of -log softmax(logits)[class], from `logits` [batch, classes] and int32 or int64 `classes`
 * [batch]. Stable: LogSoftmax subtracts the largest logit first. Throws `GRAPH_INVALID` for other shapes and types.
 */
export function softmaxCrossEntropy(
  g: GraphBuilder,
  logits: Value,
  classes: Value,
  { labelSmoothing = 0, classWeights = [] }: SoftmaxOptions = {},
): Value {
  const count = checkClasses('softmaxCrossEntropy', logits, classes)
  checkWeights(classWeights, count)
  if (labelSmoothing === 0 && classWeights.length === 0) return g.op('SoftmaxCrossEntropyLoss', [logits, classes])
  // -count makes of the mean over all elements the sum over classes and the mean over rows.
  const rest = -labelSmoothing
  const values = floats(logits.dtype, [rest, rest - count * (1 - labelSmoothing)], [2])
  const targets = g.op('OneHot', [classes, g.constant(depthOf(classes, count)), g.constant(values)])
  if (classWeights.length === 0) return against(g, logits, targets)
  const table = g.constant(floats(logits.dtype, classWeights, [count, 1]))
  return against(g, logits, g.op('Mul', [targets, g.op('Gather', [table, classes], { axis: 0n })]))
}

/** The mean over all elements of log softmax · target. */
const against = (g: GraphBuilder, logits: Value, targets: Value): Value =>
  mean(g, g.op('Mul', [g.op('LogSoftmax', [logits], { axis: 1n }), targets]))

/**
 * Softmax cross-entropy for distributions over the classes, float [batch, classes] as the logits: of mixtures of rows,
 * or another model's answers. Rows of targets need not sum to 1. Throws `GRAPH_INVALID` for other shapes and types.
 */
export function softmaxCrossEntropySoft(
  g: GraphBuilder,
  logits: Value,
  targets: Value,
  { labelSmoothing = 0, classWeights = [] }: SoftmaxOptions = {},
): Value {
  const operator = 'softmaxCrossEntropySoft'
  checkAlike(operator, logits, targets)
  const count = logits.shape[1]
  if (logits.shape.length !== 2 || typeof count !== 'number')
    throw invalid(operator, 'it takes logits and targets [batch, classes]')
  checkWeights(classWeights, count)
  // Weights are of the class that a share of the target is for, before some of it is spread.
  const weights = classWeights.length === 0 ? Array.from({ length: count }, () => 1) : classWeights
  const factors = weights.map((weight) => weight * -count)
  const own = g.op('Mul', [targets, g.constant(floats(logits.dtype, factors, [count]))])
  if (labelSmoothing === 0) return against(g, logits, own)
  const sum = g.op('ReduceSum', [own, g.constant(int64s([1]))], { keepdims: 1n })
  const spread = g.op('Mul', [sum, scalar(g, logits, labelSmoothing / count)])
  return against(g, logits, g.op('Add', [g.op('Mul', [own, scalar(g, logits, 1 - labelSmoothing)]), spread]))
}

function checkWeights(weights: readonly number[], count: number): void {
  if (weights.length !== 0 && weights.length !== count)
    throw invalid('softmaxCrossEntropy', `there are ${weights.length} class weights for ${count} classes`)
}

const depthOf = (classes: Value, count: number): Tensor =>
  classes.dtype === 'int32' ? { dtype: 'int32', shape: [1], data: Int32Array.of(count) } : int64s([count])
