import type { LayerType, ResolvedLayer, Shape } from '@tideway/core'
import { type Attributes, floats, type GraphBuilder, int64s, type Value } from '@tideway/onnx'
import type { ForwardContext } from '../trainable.js'
import type { Flow, Step } from './rule.js'

/** Whether moving the channels moves no element: one channel, or one place. */
const movesNothing = (shape: Shape): boolean => shape.at(-1) === 1 || shape.slice(0, -1).every((size) => size === 1)

/** What a layer's rule builds with: its inputs, its tensors, and operators under its name. */
export class LayerContext<Type extends LayerType = LayerType> {
  constructor(
    readonly g: GraphBuilder,
    readonly layer: ResolvedLayer<Type>,
    readonly inputs: readonly Flow[],
    /** One row's shape behind the layer, channels-last. */
    readonly shape: Shape,
    private readonly context: ForwardContext,
    /** Values in the other layout, by what they were made from: branches share them. */
    private readonly turned: Map<string, Flow>,
  ) {}

  get training(): boolean {
    return this.context.training
  }

  /** The input at a place as it comes. */
  in(place = 0): Flow {
    const flow = this.inputs[place]
    if (flow === undefined) throw new RangeError(`layer ${this.layer.name} has no input ${place}`)
    return flow
  }

  /** The input with channels behind the batch, as ONNX's windows want them. */
  first(place = 0): Flow {
    return this.turn(this.in(place), 'first')
  }

  /** The input as the config sees it. */
  last(place = 0): Flow {
    return this.turn(this.in(place), 'last')
  }

  /** A value in a layout; `name` is the node's, made from the layer's when left out. */
  turn(flow: Flow, layout: Flow['layout'], name?: string): Flow {
    if (flow.layout === layout || flow.shape.length < 2) return { ...flow, layout }
    const known = this.turned.get(flow.value.name)
    if (known !== undefined && name === undefined) return known
    const { shape, value } = flow
    const axes = shape.map((_, axis) => axis + 1)
    const part = name ?? this.g.fresh(`${this.layer.name}/channels_${layout}`)
    const sizes = layout === 'first' ? [shape.at(-1) ?? 1, ...shape.slice(0, -1)] : shape
    const order = layout === 'first' ? [0, shape.length, ...axes.slice(0, -1)] : [0, ...axes.slice(1), 1]
    const turned = movesNothing(shape)
      ? this.g.op('Reshape', [value, this.ints([0, ...sizes])], {}, { name: part })
      : this.g.op('Transpose', [value], { perm: order.map(BigInt) }, { name: part })
    const out: Flow = { value: turned, shape, layout }
    this.turned.set(value.name, out)
    this.turned.set(turned.name, flow)
    return out
  }

  parameter(part: string): Value {
    return this.context.parameter(`${this.layer.name}/${part}`)
  }

  statistic(part: string): Value {
    return this.context.statistic(`${this.layer.name}/${part}`)
  }

  update(part: string, next: Value): void {
    this.context.update(`${this.layer.name}/${part}`, next)
  }

  /** A value with a share of it set to 0 while training, and the rest made larger. */
  dropped(value: Value, rate: number, part = 'dropout', shape = value.shape): Value {
    if (!this.training || rate === 0) return value
    return this.op(`${part}/dropped`, 'Mul', [value, this.context.mask(`${this.layer.name}/${part}`, rate, shape)])
  }

  /** An operator under the layer's name. */
  op(part: string, opType: string, inputs: readonly (Value | undefined)[], attributes: Attributes = {}): Value {
    return this.g.op(opType, inputs, attributes, { name: `${this.layer.name}/${part}` })
  }

  /** The layer's last operator, which the network may name. */
  step(
    part: string,
    layout: Flow['layout'],
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    outputs = 1,
  ): Step {
    return { part, layout, add: (name) => this.g.op(opType, inputs, attributes, { name, outputs }) }
  }

  ints(values: readonly number[]): Value {
    return this.g.constant(int64s(values))
  }

  scalar(value: number): Value {
    return this.g.constant(floats('float32', [value]))
  }
}
