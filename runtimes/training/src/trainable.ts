import type { Tensor } from '@tideway/core'
import type { GraphBuilder, Value } from '@tideway/onnx'

/** A float32 tensor of a network that gradients change, or that is frozen. */
export interface ParameterSpec {
  /** `<layer>/<part>`, or the initializer's name in an imported model. */
  readonly name: string
  readonly shape: readonly number[]
  readonly trainable: boolean
  /** Weight decay leaves biases and the scales of normalization alone (`false`). */
  readonly decays: boolean
  /**
   * The values that a fresh run begins with, in a new array where they are trained. `random` gives uniform numbers in
   * [0, 1), the parameter's own sequence.
   */
  initial(random: () => number): Float32Array
}

/** A float32 tensor that the forward pass itself changes while training (running means), or that was fitted on rows. */
export interface StatisticSpec {
  readonly name: string
  readonly shape: readonly number[]
  initial(): Float32Array
}

/** What a forward pass takes and gives while its graph is built. */
export interface ForwardContext {
  /** Batch statistics and dropout are on. */
  readonly training: boolean
  /** While training: an update is wanted of what the batch holds alone, not of what was kept. */
  readonly estimating?: boolean
  parameter(name: string): Value
  statistic(name: string): Value
  /** The value that a statistic has after this step; only when training. */
  update(statistic: string, next: Value): void
  /**
   * float32 of this shape, another one each step, a pure function of (seed, step, name): 0 with probability `rate`,
   * else 1 / (1 - rate). Only when training.
   */
  mask(name: string, rate: number, shape: Value['shape']): Value
  /** Adds a float32 scalar to the loss (a weight regularizer); only when training. */
  penalty(value: Value): void
}

export interface Forward {
  /** What is shipped: [batch, ...output.shape]. */
  readonly output: Value
  /** The same before a last softmax or sigmoid, which losses take together with it; else the output. */
  readonly logits: Value
}

/** A network as training sees it, made from layers by config or from an imported ONNX model. */
export interface Trainable {
  /** One row's shape, without the batch. */
  readonly input: { readonly name: string; readonly shape: readonly number[] }
  readonly output: { readonly name: string; readonly shape: readonly number[] }
  /** What the output was made of the logits with. */
  readonly lastActivation: 'linear' | 'softmax' | 'sigmoid'
  readonly parameters: readonly ParameterSpec[]
  readonly statistics: readonly StatisticSpec[]
  /** Statistics that follow from weights and training rows: estimated anew behind each epoch. */
  readonly estimated?: readonly string[]
  /** Whether a number of a row, by its place, may be missing (NaN); none when left out. */
  readonly mayMiss?: (place: number) => boolean
  /** Values of statistics that are fitted on the training rows before the first step (Keras's `adapt`), by name. */
  fit?(inputs: Tensor): ReadonlyMap<string, Float32Array>
  /** The float file that is shipped, of parameters and statistics, where it is not what `forward` builds for use. */
  write?(tensors: Readonly<Record<string, Float32Array>>): Uint8Array
  /**
   * Adds the forward pass to a graph. `rows` is float32 [batch, ...input.shape], where batch may be a free size.
   * Node names are the layers', the same in every graph; the output value is named `outputName`.
   */
  forward(g: GraphBuilder, rows: Value, context: ForwardContext, outputName: string): Forward
}
