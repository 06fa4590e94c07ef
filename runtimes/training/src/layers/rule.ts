import type { LayerType, PlannedLayer, ResolvedLayer, Shape } from '@tideway/core'
import type { Value } from '@tideway/onnx'
import type { LayerContext } from './context.js'
import type { Initializer } from './initializers.js'

/** A value on its way through a network. */
export interface Flow {
  readonly value: Value
  /** One row's shape as the config sees it, channels-last. */
  readonly shape: Shape
  /** Where the value has its channels: ONNX's windows want them first, everything else has them last. */
  readonly layout: 'first' | 'last'
}

/** What a layer gives: an operator not added yet, since the network's last one has a name of its own; or its input. */
export type Result = Flow | Step
export interface Step {
  readonly part: string
  readonly layout: Flow['layout']
  add(name: string): Value
}

export interface Regularizer {
  readonly l1: number
  readonly l2: number
}

/** A tensor of a layer, as Keras stores it and as the graph takes it. */
export interface WeightSpec {
  /** Keras's name of it. */
  readonly part: string
  readonly kerasShape: Shape
  readonly shape: Shape
  readonly initializer: Initializer
  /** Weight decay leaves biases and scales alone. */
  readonly decays: boolean
  readonly regularizer?: Regularizer
  /** Keras's order of elements to the graph's; the same when left out. */
  readonly toGraph?: (values: Float32Array) => Float32Array
  /** Another order, or other values, than `initializer` gives: a forget gate's bias. */
  readonly initial?: (random: () => number) => Float32Array
}

/** How a layer type becomes a graph. Shapes are inferred and checked before (`planNetwork`). */
export interface LayerRule<Type extends LayerType> {
  readonly parameters?: (layer: ResolvedLayer<Type>, planned: PlannedLayer) => readonly WeightSpec[]
  readonly statistics?: (layer: ResolvedLayer<Type>, planned: PlannedLayer) => readonly WeightSpec[]
  readonly forward: (c: LayerContext<Type>) => Result
}

export type LayerRules<Type extends LayerType> = { readonly [T in Type]: LayerRule<T> }
