import { staticCount, type Value } from '../build/value.js'
import type { GradientContext, GradientRule } from './context.js'
import { castLike, mul, type Rules } from './rule.js'

/**
 * (softmax - one hot) · dloss / n: the softmax from the logarithms that the loss was made of, less 1 at the label's
 * place. What the batch only scales is a scalar, so that it folds into a constant.
 */
const crossEntropy: GradientRule = (c) => {
  if (!c.needs(0)) return []
  const [, logs, index, weights] = c.node.outputs as readonly [Value, Value, Value, Value?]
  const [dy, dlogs] = c.gradients
  const softmax = c.op('Exp', [logs])
  const byLogs =
    dlogs && c.op('Sub', [dlogs, mul(c, softmax, c.op('ReduceSum', [dlogs, c.int64s([1])], { keepdims: 1n }))])
  if (dy === undefined) return [byLogs]
  const less = c.op('Expand', [c.scalar(-1), c.shapeOf(index)])
  const hot = c.op('ScatterElements', [softmax, index, less], { axis: 1n, reduction: 'add' })
  const byLoss = mul(c, hot, scale(c, dy, weights))
  return [byLogs === undefined ? byLoss : c.op('Add', [byLoss, byLogs])]
}

/** The gradient by each element's loss, with an axis for the classes where it differs between elements. */
function scale(c: GradientContext, dy: Value, weights: Value | undefined): Value {
  const reduction = c.node.attributes['reduction'] ?? 'mean'
  const along = (value: Value): Value => c.op('Unsqueeze', [value, c.int64s([1])])
  if (weights !== undefined) {
    const shared = reduction === 'mean' ? c.op('Div', [dy, c.op('ReduceSum', [weights], { keepdims: 0n })]) : dy
    return along(c.op('Mul', [weights, shared]))
  }
  if (reduction !== 'mean') return reduction === 'sum' ? dy : along(dy)
  const count = staticCount(c.in(1).shape)
  const elements = count === undefined ? castLike(c, c.op('Size', [c.in(1)]), dy) : c.scalar(count)
  return c.op('Div', [dy, elements])
}

/** Losses that are one operator. */
export const lossRules: Rules = { SoftmaxCrossEntropyLoss: crossEntropy }
