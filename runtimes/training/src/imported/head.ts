import { type GraphBuilder, int64s, type Value } from '@tideway/onnx'
import type { ForwardContext, ParameterSpec } from '../trainable.js'
import { type HeadOptions, refuse } from './options.js'

export const HEAD = { kernel: 'head/kernel', bias: 'head/bias', mask: 'head/dropout' } as const

export const unitsOf = ({ classes, outputs }: HeadOptions): number => classes ?? outputs ?? 1

/** The head's tensors for so many features: Glorot's uniform kernel (Glorot and Bengio 2010) and zeros, as Keras's Dense. */
export function headParameters(head: HeadOptions, features: number): ParameterSpec[] {
  const units = unitsOf(head)
  const limit = Math.sqrt(6 / (features + units))
  return [
    {
      name: HEAD.kernel,
      shape: [features, units],
      trainable: true,
      decays: true,
      initial: (random) => Float32Array.from({ length: features * units }, () => (random() * 2 - 1) * limit),
    },
    { name: HEAD.bias, shape: [units], trainable: true, decays: false, initial: () => new Float32Array(units) },
  ]
}

/** Adds the pooling of a head: features [batch, ...] become [batch, features]. */
export function pooled(g: GraphBuilder, value: Value, head: HeadOptions): Value {
  const rank = value.shape.length
  if (rank < 2) refuse([`head: the value "${value.name}" that it is put on has no features behind the batch`])
  if (rank === 2) return value
  const { pool = 'average', channels = rank === 3 ? 'last' : 'first' } = head
  if (pool === 'flatten') return g.op('Flatten', [value], { axis: 1n })
  const from = channels === 'first' ? 2 : 1
  const places = Array.from({ length: rank - 2 }, (_, at) => from + at)
  if (pool === 'average') return g.op('ReduceMean', [value], { axes: places.map(BigInt), keepdims: 0n })
  const ints = (number: number): Value => g.constant(int64s([number]))
  return places.reduceRight((rest, axis) => {
    const [start, end] = pool === 'first' ? [0, 1] : [-1, Number.MAX_SAFE_INTEGER]
    const one = g.op('Slice', [rest, ints(start), ints(end), ints(axis)])
    return g.op('Squeeze', [one, ints(axis)])
  }, value)
}

/** Adds the head on pooled features; what it gives is named `name` where one is given. */
export function addHead(
  g: GraphBuilder,
  features: Value,
  head: HeadOptions,
  context: ForwardContext,
  name: string,
): Value {
  const rate = head.dropout ?? 0
  const kept =
    context.training && rate > 0
      ? g.op('Mul', [features, context.mask(HEAD.mask, rate, features.shape)], {}, { name: 'head/dropped' })
      : features
  return g.op('Gemm', [kept, context.parameter(HEAD.kernel), context.parameter(HEAD.bias)], {}, { name })
}
