import type { PlannedLayer, ResolvedLayer } from '@tideway/core'
import type { Value } from '@tideway/onnx'
import type { LayerContext } from './context.js'
import type { Flow, LayerRules, WeightSpec } from './rule.js'

type Attention = ResolvedLayer<'multiHeadAttention'>
const PARTS = ['query', 'key', 'value'] as const
type Part = (typeof PARTS)[number]

/** Keras's order of inputs: query, value, key. */
const placeOf = (part: Part, inputs: number): number =>
  part === 'query' ? 0 : part === 'value' ? Math.min(1, inputs - 1) : inputs - 1

const sizeOf = (layer: Attention, part: Part): number =>
  part === 'value' ? (layer.valueDim ?? layer.keyDim) : layer.keyDim

/** Keras keeps heads as an axis: [features, heads, size] and [heads, size, features]; in memory they are matrices. */
function weightsOf(layer: Attention, { inputShapes, shape }: PlannedLayer): WeightSpec[] {
  const { numHeads: heads } = layer
  const spec = (part: string, kerasShape: readonly number[], matrix: readonly number[]): WeightSpec => ({
    part,
    kerasShape,
    shape: matrix,
    initializer: part.endsWith('bias') ? layer.biasInitializer : layer.kernelInitializer,
    decays: part.endsWith('kernel'),
    regularizer: part.endsWith('kernel') ? layer.kernelRegularizer : layer.biasRegularizer,
  })
  const output = shape.at(-1) ?? 1
  const size = sizeOf(layer, 'value')
  const bias = (part: string, kerasShape: readonly number[], length: number) =>
    layer.useBias ? [spec(`${part}/bias`, kerasShape, [length])] : []
  return [
    ...PARTS.flatMap((part) => {
      const features = inputShapes[placeOf(part, inputShapes.length)]?.at(-1) ?? 1
      const width = sizeOf(layer, part)
      return [
        spec(`${part}/kernel`, [features, heads, width], [features, heads * width]),
        ...bias(part, [heads, width], heads * width),
      ]
    }),
    spec('attention_output/kernel', [heads, size, output], [heads * size, output]),
    ...bias('attention_output', [output], output),
  ]
}

function projected(c: LayerContext<'multiHeadAttention'>, part: string, value: Value): Value {
  const product = c.op(`${part}/product`, 'MatMul', [value, c.parameter(`${part}/kernel`)])
  return c.layer.useBias ? c.op(`${part}/biased`, 'Add', [product, c.parameter(`${part}/bias`)]) : product
}

/** [batch, steps, heads * size] as [batch, heads, ...]: steps before size, or turned for the product of scores. */
function heads(c: LayerContext<'multiHeadAttention'>, part: Part, flow: Flow): Value {
  const { numHeads } = c.layer
  const split = c.op(`${part}/split`, 'Reshape', [
    projected(c, part, flow.value),
    c.ints([0, flow.shape[0] ?? 1, numHeads, sizeOf(c.layer, part)]),
  ])
  return c.op(`${part}/heads`, 'Transpose', [split], { perm: part === 'key' ? [0n, 2n, 3n, 1n] : [0n, 2n, 1n, 3n] })
}

/** Vaswani et al. 2017: softmax(q kᵀ / √size) v in each head, and all heads through one product. */
export const attentionRules: LayerRules<'multiHeadAttention'> = {
  multiHeadAttention: {
    parameters: weightsOf,
    forward: (c) => {
      const { keyDim, numHeads, dropout, useBias } = c.layer
      const [query, key, value] = PARTS.map((part) => heads(c, part, c.last(placeOf(part, c.inputs.length)))) as [
        Value,
        Value,
        Value,
      ]
      const scaled = c.op('scaled', 'Mul', [query, c.scalar(1 / Math.sqrt(keyDim))])
      const scores = c.op('scores', 'MatMul', [scaled, key])
      const shares = c.dropped(c.op('shares', 'Softmax', [scores], { axis: -1n }), dropout)
      const mixed = c.op('steps', 'Transpose', [c.op('mixed', 'MatMul', [shares, value])], { perm: [0n, 2n, 1n, 3n] })
      const width = numHeads * sizeOf(c.layer, 'value')
      const joined = c.op('joined', 'Reshape', [mixed, c.ints([0, c.shape[0] ?? 1, width])])
      const kernel = c.parameter('attention_output/kernel')
      if (!useBias) return c.step('attended', 'last', 'MatMul', [joined, kernel])
      const product = c.op('attention_output/product', 'MatMul', [joined, kernel])
      return c.step('attended', 'last', 'Add', [product, c.parameter('attention_output/bias')])
    },
  },
}
