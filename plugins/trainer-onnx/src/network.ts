import type { LayerConfig, NetworkConfig, TrainJob } from '@tideway/core'
import { floats, type GraphBuilder, type Value } from '@tideway/onnx'

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

/** More multiplications than this a step, and its time goes to its operators rather than to what is between them. */
const SMALL_STEP = 100e6

/**
 * Whether a step is so short that threads would be woken for longer than they work, and that what a run costs beyond its
 * operators shows: measured on 784-128-10 at batch 64, where one thread trains 92,000 rows a second and two 70,000.
 */
export function hasSmallSteps({ network, batchSize }: Pick<TrainJob, 'network' | 'batchSize'>): boolean {
  const weights = parametersOf(network).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
  // Forward, the gradient of the weights and that of the inputs.
  return 3 * batchSize * weights < SMALL_STEP
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
  normalizations: readonly Normalization[],
  parameter: (name: string) => Value,
  outputName: string,
): Forward {
  let value = x
  let logits = x
  let fitted = 0
  for (const [place, layer] of network.layers.entries()) {
    const steps = layerSteps(
      g,
      layer,
      layerName(layer, place),
      parameter,
      () => normalizations[fitted++] as Normalization,
    )
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
function layerSteps(
  g: GraphBuilder,
  layer: LayerConfig,
  name: string,
  parameter: (name: string) => Value,
  fitted: () => Normalization,
): Step[] {
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
      const { mean, scale } = fitted()
      const vector = (part: string, data: Float32Array): Value =>
        g.initializer(`${name}/${part}`, { dtype: 'float32', shape: [data.length], data })
      return [
        { opType: 'Sub', name: `${name}/centered`, inputs: [vector('mean', mean)] },
        { opType: 'Mul', name: `${name}/scaled`, inputs: [vector('scale', scale)] },
      ]
    }
    case 'dense': {
      const kernel = parameter(`${name}/kernel`)
      const bias = layer.useBias ?? true
      const product: Step = bias
        ? { opType: 'Gemm', name: `${name}/dense`, inputs: [kernel, parameter(`${name}/bias`)] }
        : { opType: 'MatMul', name: `${name}/dense`, inputs: [kernel] }
      const activation = layer.activation ?? 'linear'
      return activation === 'linear'
        ? [product]
        : [product, { opType: ACTIVATIONS[activation], name: `${name}/${activation}`, inputs: [] }]
    }
  }
}
