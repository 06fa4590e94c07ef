import type { NodeContext } from '../build/context.js'
import type { BuiltNode } from '../build/graph-builder.js'
import type { Dim, Value } from '../build/value.js'
import { type Attrs, attr, type Ref } from './graph-def.js'
import type { Stored, TfType } from './tensor.js'
import { type Form, Refused, toLast, type Values } from './values.js'

/** One ONNX node on its way into a GraphDef: what it takes, and the means to add TensorFlow's operators. */
export class Emission {
  constructor(
    readonly node: BuiltNode,
    readonly info: NodeContext,
    readonly values: Values,
  ) {}

  in(place: number): Value {
    const value = this.node.inputs[place]
    if (value === undefined) throw new Refused(`input ${place} is missing`)
    return value
  }

  maybe(place: number): Value | undefined {
    return this.node.inputs[place]
  }

  get inputs(): readonly Value[] {
    return this.node.inputs.filter((value) => value !== undefined)
  }

  get out(): Value {
    return this.node.outputs[0] as Value
  }

  /** An input as ONNX has it. */
  first(place: number): Ref {
    return this.values.first(this.in(place))
  }

  /** An input with its channels last. */
  last(place: number): Ref {
    return this.values.last(this.in(place))
  }

  constant(place: number): Stored | undefined {
    const value = this.maybe(place)
    return value && this.values.constant(value)
  }

  /** The numbers of an input that says what the node is to do; undefined where it is left out. */
  numbers(place: number): readonly number[] | undefined {
    const value = this.maybe(place)
    if (value === undefined) return undefined
    // Not narrowed to 32 bits: "to the end" is the largest integer.
    const known = this.info.constant(place)
    const numbers = known ? Array.from(known.data as ArrayLike<unknown>, Number) : this.info.constantInts(place)
    if (numbers === undefined) throw new Refused(`input ${place} ("${value.name}") is known only when the model runs`)
    return numbers
  }

  axis(axis: number, rank = this.in(0).shape.length): number {
    return this.info.axis(axis, rank)
  }

  text(name: string, fallback: string): string {
    const value = this.node.attributes[name]
    return typeof value === 'string' ? value : fallback
  }

  op(op: string, inputs: readonly Ref[], attrs: Attrs = {}): Ref {
    return this.values.graph.op(op, `${this.node.name}/${op}`, inputs, attrs)
  }

  /** The outputs of an operator with several. */
  split(op: string, count: number, inputs: readonly Ref[], attrs: Attrs = {}): Ref[] {
    const ref = this.op(op, inputs, attrs)
    return Array.from({ length: count }, (_, place) => (place === 0 ? ref : `${ref}:${place}`))
  }

  stored(tensor: Stored, what = 'constant'): Ref {
    return this.values.graph.constant(tensor, `${this.node.name}/${what}`)
  }

  number(value: number, dtype: TfType = 'float32'): Ref {
    const data = dtype === 'float32' ? Float32Array.of(value) : Int32Array.of(value)
    return this.stored({ dtype, shape: [], data })
  }

  /** A vector of integers. */
  ints(values: readonly number[], shape: readonly number[] = [values.length]): Ref {
    return this.stored({ dtype: 'int32', shape, data: Int32Array.from(values) })
  }

  /** In another shape, of which one size may be known only when the model runs. */
  reshape(ref: Ref, shape: readonly Dim[]): Ref {
    const sizes = this.sizes(shape)
    if (sizes.filter((size) => size === -1).length > 1)
      throw new Refused(`more than one size of [${shape.join(', ')}] is known only when the model runs`)
    return this.op('Reshape', [ref, this.ints(sizes)])
  }

  transpose(ref: Ref, perm: readonly number[]): Ref {
    return this.op('Transpose', [ref, this.ints(perm)])
  }

  /** Known sizes, and -1 for others. */
  sizes(shape: readonly Dim[]): number[] {
    return shape.map((size) => (typeof size === 'number' ? size : -1))
  }

  /** Sizes that must be known to write the node. */
  known(shape: readonly Dim[], what: string): number[] {
    return shape.map((size) => {
      if (typeof size !== 'number') throw new Refused(`${what} [${shape.join(', ')}] is known only when the model runs`)
      return size
    })
  }

  cast(ref: Ref, dtype: TfType): Ref {
    return this.op('Cast', [ref], { DstT: attr.type(dtype) })
  }

  concat(refs: readonly Ref[], axis: number): Ref {
    const [only] = refs
    if (refs.length === 1 && only !== undefined) return only
    return this.op('ConcatV2', [...refs, this.number(axis, 'int32')], { N: attr.int(refs.length) })
  }

  /**
   * Computes element by element, in the layout that the inputs have: channels last where an image is so and nothing else
   * of the image's rank would have to be turned.
   */
  alike(inputs: readonly Value[], compute: (...refs: Ref[]) => Ref): Form {
    const rank = Math.max(...inputs.map(({ shape }) => shape.length))
    const fits = (value: Value) =>
      value.shape.length === 0 || value.shape.length === rank || this.values.isConstant(value)
    if (inputs.some((value) => this.values.isLast(value)) && inputs.every(fits))
      return { last: compute(...inputs.map((value) => this.values.lastTo(rank, value))) }
    return { first: compute(...inputs.map((value) => this.values.first(value))) }
  }
}

/** The number of an axis where the channels come last. */
export const inLast = (axis: number, rank: number): number => toLast(rank).indexOf(axis)

/** How a node is written: its outputs, in order; a Ref is one as ONNX has it. */
export type Rule = (e: Emission) => Ref | Form | readonly (Ref | Form)[]
export type Rules = Readonly<Record<string, Rule>>
