import type { LayerConfig, NetworkConfig } from '@tideway/core'
import { floats, type GraphBuilder, type Value } from '@tideway/onnx'
import { errors } from './errors.js'
import { fitNormalizations } from './normalization.js'
import type { ForwardContext, Trainable } from './trainable.js'

/** Per-feature statistics of one normalization layer. */
export interface Normalization {
  readonly mean: Float32Array
  /** 1 / √variance; 1 for a feature that never changes. */
  readonly scale: Float32Array
}

/** A trained tensor. */
export interface ParameterSpec {
  readonly name: string
  readonly shape: readonly number[]
  readonly initial: 'glorot' | 'zero'
}

/** The name of a layer: its own, or its type and place. */
export function layerName(layer: LayerConfig, place: number): string {
  return layer.name ?? `${layer.type}_${place + 1}`
}

/** The trained tensors of a network, in order. */
export function parametersOf(network: NetworkConfig): ParameterSpec[] {
  const specs: ParameterSpec[] = []
  let width = network.input.shape.at(-1) ?? 1
  for (const [place, layer] of network.layers.entries()) {
    if (layer.type !== 'dense') continue
    const name = layerName(layer, place)
    specs.push({ name: `${name}/kernel`, shape: [width, layer.units], initial: 'glorot' })
    if (layer.useBias ?? true) specs.push({ name: `${name}/bias`, shape: [layer.units], initial: 'zero' })
    width = layer.units
  }
  return specs
}

/** One row's shape behind the last layer. */
export function outputShape(network: NetworkConfig): readonly number[] {
  const last = network.layers.findLast((layer) => layer.type === 'dense')
  return last?.type === 'dense' ? [last.units] : network.input.shape
}

export interface Forward {
  /** What the last layer gives before its softmax: what a cross-entropy is computed from. */
  readonly logits: Value
  readonly output: Value
}

/**
 * Adds a network's layers to a graph. `parameter` gives the value of each trained tensor by its name; `outputName`
 * names the last node.
 */
export function addForward(
  g: GraphBuilder,
  network: NetworkConfig,
  x: Value,
  context: ForwardContext,
  outputName: string,
): Forward {
  let value = x
  let logits = x
  for (const [place, layer] of network.layers.entries()) {
    const steps = layerSteps(g, layer, layerName(layer, place), context)
    for (const [at, step] of steps.entries()) {
      const last = place === network.layers.length - 1 && at === steps.length - 1
      logits = step.opType === 'Softmax' ? value : logits
      value = g.op(step.opType, [value, ...step.inputs], step.opType === 'Softmax' ? { axis: -1n } : {}, {
        name: last ? outputName : step.name,
      })
      if (step.opType !== 'Softmax') logits = value
    }
  }
  return { logits, output: value }
}

interface Step {
  readonly opType: string
  readonly name: string
  readonly inputs: readonly Value[]
}

const ACTIVATIONS = { relu: 'Relu', sigmoid: 'Sigmoid', tanh: 'Tanh', softmax: 'Softmax' } as const

/** A layer as operators in a row, each taking what the one before gave. */
function layerSteps(g: GraphBuilder, layer: LayerConfig, name: string, context: ForwardContext): Step[] {
  switch (layer.type) {
    case 'rescaling': {
      const scale: Step = {
        opType: 'Mul',
        name: `${name}/scale`,
        inputs: [g.constant(floats('float32', [layer.scale]))],
      }
      const offset = layer.offset ?? 0
      return offset === 0
        ? [scale]
        : [scale, { opType: 'Add', name: `${name}/offset`, inputs: [g.constant(floats('float32', [offset]))] }]
    }
    case 'normalization': {
      return [
        { opType: 'Sub', name: `${name}/centered`, inputs: [context.statistic(`${name}/mean`)] },
        { opType: 'Mul', name: `${name}/scaled`, inputs: [context.statistic(`${name}/scale`)] },
      ]
    }
    case 'dense': {
      const kernel = context.parameter(`${name}/kernel`)
      const bias = layer.useBias ?? true
      const product: Step = bias
        ? { opType: 'Gemm', name: `${name}/dense`, inputs: [kernel, context.parameter(`${name}/bias`)] }
        : { opType: 'MatMul', name: `${name}/dense`, inputs: [kernel] }
      const activation = layer.activation ?? 'linear'
      if (activation === 'linear') return [product]
      const opType = ACTIVATIONS[activation as keyof typeof ACTIVATIONS]
      return [product, { opType, name: `${name}/${String(activation)}`, inputs: [] }]
    }
    default:
      throw errors.TRAIN_CONFIG_INVALID({ issues: [`network: ${layer.type} layers`] })
  }
}

/** A stop-gap until layers give it. */
export function trainableOf(network: NetworkConfig): Trainable {
  const norms = network.layers.flatMap((layer, place) =>
    layer.type === 'normalization' ? [layerName(layer, place)] : [],
  )
  const features = network.input.shape.at(-1) ?? 1
  const last = network.layers.at(-1)
  return {
    input: network.input,
    output: { name: network.output.name, shape: outputShape(network) },
    lastActivation: last?.type === 'dense' && last.activation === 'softmax' ? 'softmax' : 'linear',
    parameters: parametersOf(network).map(({ name, shape, initial }) => ({
      name,
      shape,
      trainable: true,
      decays: initial === 'glorot',
      initial(random) {
        if (initial === 'zero') return new Float32Array(shape[0] ?? 0)
        const limit = Math.sqrt(6 / ((shape[0] ?? 0) + (shape[1] ?? 0)))
        return Float32Array.from({ length: (shape[0] ?? 0) * (shape[1] ?? 0) }, () => (random() * 2 - 1) * limit)
      },
    })),
    statistics: norms.flatMap((name) => [
      { name: `${name}/mean`, shape: [features], initial: () => new Float32Array(features) },
      { name: `${name}/scale`, shape: [features], initial: () => new Float32Array(features).fill(1) },
    ]),
    fit(inputs) {
      const fitted = fitNormalizations(network, inputs)
      return new Map(
        norms.flatMap(
          (name, at) =>
            [
              [`${name}/mean`, fitted[at]!.mean],
              [`${name}/scale`, fitted[at]!.scale],
            ] as const,
        ),
      )
    },
    forward: (g, x, context, outputName) => addForward(g, network, x, context, outputName),
  }
}
