import type { GraphBuilder } from '../build/graph-builder.js'
import { floats, int64s, type Value } from '../build/value.js'
import { errors } from '../errors.js'

/**
 * The mean over the batch of -log softmax(logits)[class], from `logits` [batch, classes] and int32 or int64 `classes`
 * [batch]. Stable: LogSoftmax subtracts the largest logit first. Throws `GRAPH_INVALID` for other shapes and types.
 */
export function softmaxCrossEntropy(g: GraphBuilder, logits: Value, classes: Value): Value {
  const count = logits.shape[1]
  if (logits.shape.length !== 2 || typeof count !== 'number' || classes.shape.length !== 1) {
    throw errors.GRAPH_INVALID({
      operator: 'softmaxCrossEntropy',
      reason: 'it takes logits [batch, classes] and classes [batch]',
    })
  }
  if (classes.dtype !== 'int32' && classes.dtype !== 'int64') {
    throw errors.GRAPH_INVALID({
      operator: 'softmaxCrossEntropy',
      reason: `classes are ${classes.dtype}, not int32 or int64`,
    })
  }
  const values = g.constant(floats(logits.dtype, [0, 1], [2]))
  const wanted = g.op('OneHot', [classes, g.constant(depthOf(classes, count)), values])
  const likelihood = g.op('Mul', [g.op('LogSoftmax', [logits], { axis: 1n }), wanted])
  const perRow = g.op('ReduceSum', [likelihood, g.constant(int64s([1]))], { keepdims: 0n })
  return g.op('Neg', [g.op('ReduceMean', [perRow], { keepdims: 0n })])
}

const depthOf = (classes: Value, count: number) =>
  classes.dtype === 'int32' ? ({ dtype: 'int32', shape: [1], data: Int32Array.of(count) } as const) : int64s([count])

/** The mean over all elements of (prediction - target)², the shapes being equal. */
export function meanSquaredError(g: GraphBuilder, prediction: Value, target: Value): Value {
  const difference = g.op('Sub', [prediction, target])
  return g.op('ReduceMean', [g.op('Mul', [difference, difference])], { keepdims: 0n })
}
