import type { ResolvedLayer, Shape } from '@tideway/core'
import type { LayerRules, WeightSpec } from './rule.js'

type Biased = Pick<ResolvedLayer<'dense'>, 'useBias' | 'biasInitializer' | 'biasRegularizer'>

/** A layer's bias of so many units, if it has one. */
export const biasOf = ({ useBias, biasInitializer, biasRegularizer }: Biased, units: number): WeightSpec[] =>
  useBias ? [{ ...vector('bias', units, biasInitializer), regularizer: biasRegularizer }] : []

/** A tensor of one axis that weight decay leaves alone. */
export const vector = (part: string, length: number, initializer: WeightSpec['initializer']): WeightSpec => ({
  part,
  kerasShape: [length],
  shape: [length],
  initializer,
  decays: false,
})

const width = (shapes: readonly Shape[]): number => shapes[0]?.at(-1) ?? 1

/** Layers of single features. */
export const denseRules: LayerRules<'dense' | 'activation' | 'dropout' | 'embedding'> = {
  dense: {
    parameters: (layer, { inputShapes }) => {
      const shape = [width(inputShapes), layer.units]
      return [
        {
          part: 'kernel',
          kerasShape: shape,
          shape,
          initializer: layer.kernelInitializer,
          decays: true,
          regularizer: layer.kernelRegularizer,
        },
        ...biasOf(layer, layer.units),
      ]
    },
    forward: (c) => {
      const { value, shape } = c.last()
      const kernel = c.parameter('kernel')
      if (!c.layer.useBias) return c.step('dense', 'last', 'MatMul', [value, kernel])
      const bias = c.parameter('bias')
      if (shape.length === 1) return c.step('dense', 'last', 'Gemm', [value, kernel, bias])
      return c.step('dense', 'last', 'Add', [c.op('product', 'MatMul', [value, kernel]), bias])
    },
  },
  // What it does is the network's affair (index.ts): every layer may have an activation.
  activation: { forward: (c) => c.in() },
  dropout: {
    forward: (c) => {
      const flow = c.in()
      return { ...flow, value: c.dropped(flow.value, c.layer.rate) }
    },
  },
  embedding: {
    parameters: ({ inputDim, outputDim, embeddingsInitializer: initializer, embeddingsRegularizer: regularizer }) => {
      const shape = [inputDim, outputDim]
      return [{ part: 'embeddings', kerasShape: shape, shape, initializer, decays: true, regularizer }]
    },
    forward: (c) => {
      const places = c.op('places', 'Cast', [c.last().value], { to: c.g.without.has('int64') ? 6n : 7n })
      return c.step('embedded', 'last', 'Gather', [c.parameter('embeddings'), places], { axis: 0n })
    },
  },
}
