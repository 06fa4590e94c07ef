import type { Tensor } from '@tideway/core'
import type { NodeContext } from '../build/context.js'
import type { BuiltNode, GraphBuilder } from '../build/graph-builder.js'
import { type Dim, floats, int64s, type Value } from '../build/value.js'
import type { Attributes } from '../format/node.js'

/** What a rule sees of the node it differentiates, and the means to add nodes to the graph. */
export class GradientContext {
  readonly info: NodeContext

  constructor(
    readonly g: GraphBuilder,
    readonly node: BuiltNode,
    /** The gradient of the loss by each output; undefined where the loss does not depend on it. */
    readonly gradients: readonly (Value | undefined)[],
    private readonly wanted: (value: Value) => boolean,
    private readonly balanced: Set<string>,
  ) {
    this.info = g.context(node.opType, node.inputs, node.attributes, node.outputs.length)
  }

  in(place: number): Value {
    return this.info.in(place)
  }

  /** The node's first output. */
  get y(): Value {
    return this.node.outputs[0] as Value
  }

  /** The gradient by the node's first output. */
  get dy(): Value {
    return this.gradients[0] as Value
  }

  /** Whether anything that is trained lies behind an input: if not, its gradient is not computed. */
  needs(place: number): boolean {
    const value = this.node.inputs[place]
    return value !== undefined && this.wanted(value)
  }

  /** Says of a gradient that each channel's elements sum to zero, whatever is fed. */
  balance(gradient: Value): Value {
    this.balanced.add(gradient.name)
    return gradient
  }

  /** Whether a gradient is known to sum to zero over all axes but the channels'. */
  isBalanced(gradient: Value): boolean {
    return this.balanced.has(gradient.name)
  }

  op(opType: string, inputs: readonly (Value | undefined)[], attributes: Attributes = {}): Value {
    return this.g.op(opType, inputs, attributes)
  }

  /** Adds a node with several outputs. */
  ops(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    outputs: number,
  ): readonly Value[] {
    return this.g.ops(opType, inputs, attributes, { outputs })
  }

  /** A scalar of the type of the node's first output. */
  scalar(value: number): Value {
    return this.g.constant(floats(this.y.dtype, [value]))
  }

  int64s(values: readonly number[]): Value {
    return this.g.constant(int64s(values))
  }

  tensor(tensor: Tensor): Value {
    return this.g.constant(tensor)
  }

  /** A value's shape as an int64 vector: a constant where it is known, else computed at run time. */
  shapeOf(value: Value): Value {
    const known = value.shape.every((size) => typeof size === 'number')
    return known ? this.int64s(value.shape.map(Number)) : this.op('Shape', [value])
  }

  /** `value` with the shape of `like`, which has as many elements. */
  reshape(value: Value, like: Value): Value {
    if (sameShape(value.shape, like.shape)) return value
    const symbols = like.shape.filter((size) => typeof size === 'string').length
    // One size known only at run time is what -1 is for; 0 would mean "as before" to Reshape.
    const direct = symbols <= 1 && !like.shape.includes(0)
    const shape = direct
      ? this.int64s(like.shape.map((size) => (typeof size === 'string' ? -1 : size)))
      : this.shapeOf(like)
    return this.op('Reshape', [value, shape], direct ? {} : { allowzero: 1n })
  }

  /** The gradient by an input that was broadcast to the gradient's shape: summed over the repeated axes. */
  unbroadcast(gradient: Value, input: Value): Value {
    if (sameShape(gradient.shape, input.shape)) return gradient
    const extra = gradient.shape.length - input.shape.length
    const sizes = gradient.shape.map(
      (size, axis) => [size, axis < extra ? 1 : (input.shape[axis - extra] ?? 1)] as const,
    )
    if (sizes.some(([out, own]) => out !== own && own !== 1)) return this.unbroadcastAtRunTime(gradient, input)
    const axes = sizes.flatMap(([out, own], axis) => (axis < extra || (own === 1 && out !== 1) ? [axis] : []))
    const onlyExtra = axes.every((axis) => axis < extra)
    const sum = this.op('ReduceSum', [gradient, this.int64s(axes)], { keepdims: onlyExtra ? 0n : 1n })
    return this.reshape(sum, input)
  }

  /** Which axes were repeated shows only when the sizes are known: those where the input's size is 1. */
  private unbroadcastAtRunTime(gradient: Value, input: Value): Value {
    const shape = this.op('Shape', [input])
    const extra = gradient.shape.length - input.shape.length
    const padded =
      extra === 0
        ? shape
        : this.op('Concat', [this.int64s(Array.from({ length: extra }, () => 1)), shape], { axis: 0n })
    const ones = this.op('NonZero', [this.op('Equal', [padded, this.int64s([1])])])
    const axes = this.op('Reshape', [ones, this.int64s([-1])])
    const sum = this.op('ReduceSum', [gradient, axes], { keepdims: 1n, noop_with_empty_axes: 1n })
    return this.op('Reshape', [sum, shape])
  }
}

/** Gradients by each of a node's inputs; undefined where `needs` says no, or where there is none. */
export type GradientRule = (c: GradientContext) => readonly (Value | undefined)[]

export function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis])
}
