import type { LossName } from '@tideway/core'
import { type GraphBuilder, meanSquaredError, softmaxCrossEntropy, type Value } from '@tideway/onnx'
import type { Forward, Trainable } from '../trainable.js'

/** One row's target. */
export interface TargetSpec {
  readonly dtype: 'int32' | 'float32'
  readonly shape: readonly number[]
}

/** What a loss takes beside the network's output. */
export function targetOf(loss: LossName, { output }: Pick<Trainable, 'output'>): TargetSpec {
  return loss === 'softmaxCrossEntropy' ? { dtype: 'int32', shape: [] } : { dtype: 'float32', shape: output.shape }
}

/** Adds a loss to a graph: a float32 scalar, the mean over the batch. */
export function addLoss(g: GraphBuilder, loss: LossName, { logits, output }: Forward, targets: Value): Value {
  return loss === 'softmaxCrossEntropy' ? softmaxCrossEntropy(g, logits, targets) : meanSquaredError(g, output, targets)
}

/** Adds the number of rows whose most likely class is right, for losses over classes. */
export function addCorrect(
  g: GraphBuilder,
  loss: LossName,
  { logits }: Forward,
  targets: Value,
  name: string,
): Value | undefined {
  if (loss !== 'softmaxCrossEntropy') return undefined
  const guess = g.op('Cast', [g.op('ArgMax', [logits], { axis: 1n, keepdims: 0n })], { to: 6n })
  const right = g.op('Cast', [g.op('Equal', [guess, targets])], { to: 1n })
  return g.op('ReduceSum', [right], { keepdims: 0n }, { name })
}
