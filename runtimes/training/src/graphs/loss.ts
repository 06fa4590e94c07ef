import { type LossConfig, resolveLoss } from '@tideway/core'
import { floats, type GraphBuilder, lossOf, softmaxCrossEntropySoft, type Value } from '@tideway/onnx'
import type { Forward, Trainable } from '../trainable.js'
import { FEED } from './names.js'

/** One row's target. */
export interface TargetSpec {
  readonly dtype: 'int32' | 'float32'
  readonly shape: readonly number[]
}

/** What a loss takes beside the network's output; undefined for one that takes the network's own inputs. */
export function targetOf(loss: LossConfig, { output }: Pick<Trainable, 'output'>): TargetSpec | undefined {
  const { targets } = lossOf(resolveLoss(loss))
  if (targets === 'inputs') return undefined
  return targets === 'classes' ? { dtype: 'int32', shape: [] } : { dtype: 'float32', shape: output.shape }
}

interface LossOrder {
  readonly loss: LossConfig
  readonly network: Trainable
  /** Whether classes come as shares, float32 [batch, classes]. */
  readonly softTargets: boolean
}

/** Adds a loss and the targets that it takes: a float32 scalar, the mean over the batch. */
export function addLoss(
  g: GraphBuilder,
  { loss: config, network, softTargets }: LossOrder,
  rows: Value,
  forward: Forward,
  batch: number | null,
): { readonly loss: Value; readonly targets: Value } {
  const resolved = resolveLoss(config)
  const loss = lossOf(resolved)
  const target = targetOf(config, network)
  if (target?.dtype === 'int32' && softTargets && resolved.type === 'softmaxCrossEntropy') {
    const shares = g.input(FEED.targets, 'float32', [batch, ...network.output.shape])
    return { loss: softmaxCrossEntropySoft(g, forward.logits, shares, resolved), targets: shares }
  }
  const targets = target === undefined ? rows : g.input(FEED.targets, target.dtype, [batch, ...target.shape])
  return { loss: loss.add(g, forward[loss.of], targets), targets }
}

/** Adds the number of rows whose most likely class is right, for the loss over classes. */
export function addCorrect(
  g: GraphBuilder,
  config: LossConfig,
  { logits }: Forward,
  targets: Value,
  name: string,
): Value | undefined {
  if (resolveLoss(config).type !== 'softmaxCrossEntropy') return undefined
  const right = g.op('Cast', [g.without.has('ArgMax') ? isFirst(g, logits, targets) : isGuessed(g, logits, targets)], {
    to: 1n,
  })
  return g.op('ReduceSum', [right], { keepdims: 0n }, { name })
}

const isGuessed = (g: GraphBuilder, logits: Value, targets: Value): Value =>
  g.op('Equal', [g.op('Cast', [g.op('ArgMax', [logits], { axis: 1n, keepdims: 0n })], { to: 6n }), targets])

/** The same, with places as float32: the first of the largest is the least place where the largest is. */
function isFirst(g: GraphBuilder, logits: Value, targets: Value): Value {
  const classes = Number(logits.shape[1])
  const shape = [classes, ...logits.shape.slice(2).map(() => 1)]
  const places = g.constant(
    floats(
      'float32',
      Array.from({ length: classes }, (_, at) => at),
      shape,
    ),
  )
  const largest = g.op('Equal', [logits, g.op('ReduceMax', [logits], { axes: [1n], keepdims: 1n })])
  const held = g.op('Where', [largest, places, g.constant(floats('float32', [classes]))])
  const guess = g.op('ReduceMin', [held], { axes: [1n], keepdims: 0n })
  return g.op('Equal', [guess, g.op('Cast', [targets], { to: 1n })])
}
