import type { NodeContext } from './context.js'
import type { Lowering } from './lower.js'
import { floats, int64s, type Value } from './value.js'

/** All axes but the channels'. */
export const besidesChannels = (value: Value): number[] => value.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]))

/**
 * Batch normalization that trains (Ioffe and Szegedy 2015, arXiv:1502.03167; ONNX operator BatchNormalization with
 * training_mode 1), which engines do not run: the mean and variance of the batch, then the operator itself with those.
 * Values beyond the operator's own: x less the batch's mean, and 1 / √(variance + ε), [1, C, 1, …].
 * The variance is that of the differences: E x² - (E x)² would lose float32's digits where |mean| ≫ deviation.
 */
export const lowerBatchNormalization: Lowering = (g, node: NodeContext, name) => {
  if (node.int('training_mode', 0) !== 1) return undefined
  const [x, scale, bias, mean, variance] = [0, 1, 2, 3, 4].map((place) => node.in(place)) as [
    Value,
    Value,
    Value,
    Value,
    Value,
  ]
  const epsilon = node.float('epsilon', 1e-5)
  const momentum = node.float('momentum', 0.9)
  const number = (value: number): Value => g.constant(floats(x.dtype, [value]))
  const average = (value: Value): Value =>
    g.op('ReduceMean', [value], { axes: besidesChannels(value).map(BigInt), keepdims: 1n })
  const flat = (value: Value): Value => g.op('Reshape', [value, g.constant(int64s([-1]))])
  const batchMean = average(x)
  const centred = g.op('Sub', [x, batchMean])
  const batchVariance = average(g.op('Mul', [centred, centred]))
  const inverse = g.op('Reciprocal', [g.op('Sqrt', [g.op('Add', [batchVariance, number(epsilon)])])])
  const running = (old: Value, seen: Value, output: string): Value =>
    g.op('Add', [g.op('Mul', [old, number(momentum)]), g.op('Mul', [seen, number(1 - momentum)])], {}, { name: output })
  const nextMean = running(mean, flat(batchMean), `${name}_1`)
  const nextVariance = running(variance, flat(batchVariance), `${name}_2`)
  const [channels] = scale.shape
  const zeros =
    typeof channels === 'number'
      ? g.constant(floats(x.dtype, Array<number>(channels).fill(0), [channels]))
      : g.op('Mul', [scale, number(0)])
  const y = g.op('BatchNormalization', [centred, scale, bias, zeros, flat(batchVariance)], { epsilon }, { name })
  return [y, nextMean, nextVariance, centred, inverse]
}
