import type { Tensor } from '@tideway/core'
import { errors } from '../errors.js'
import type { Attributes } from '../format/node.js'
import { axisOf } from './shapes.js'
import type { Dim, Value, ValueType } from './value.js'

/** One node as rules see it: what it takes, its attributes, and the values of inputs that are constant. */
export class NodeContext {
  constructor(
    readonly operator: string,
    readonly inputs: readonly (Value | undefined)[],
    readonly attributes: Attributes,
    readonly outputCount: number,
    private readonly constants: (name: string) => Tensor | undefined,
    readonly fresh: () => string,
    private readonly contents: (name: string) => readonly Dim[] | undefined,
  ) {}

  /** The input at a place; throws `GRAPH_INVALID` when it is missing. */
  in(place: number): Value {
    const value = this.inputs[place]
    if (value === undefined) throw this.invalid(`input ${place} is missing`)
    return value
  }

  int(name: string, fallback: number): number {
    const value = this.attributes[name]
    return typeof value === 'bigint' ? Number(value) : fallback
  }

  float(name: string, fallback: number): number {
    const value = this.attributes[name]
    return typeof value === 'number' ? value : fallback
  }

  ints(name: string): number[] | undefined {
    const value = this.attributes[name]
    return Array.isArray(value) ? value.map(Number) : undefined
  }

  /** The integers of a constant input; undefined when it is missing or computed at run time. */
  constantInts(place: number): number[] | undefined {
    const value = this.inputs[place]
    const tensor = value === undefined ? undefined : this.constants(value.name)
    if (tensor !== undefined) return Array.from(tensor.data as ArrayLike<unknown>, Number)
    const sizes = this.sizes(place)
    return sizes?.every((size) => typeof size === 'number') ? sizes.map(Number) : undefined
  }

  /** What is known of an input that holds sizes, constant or computed from shapes: numbers and names. */
  sizes(place: number): readonly Dim[] | undefined {
    const value = this.inputs[place]
    if (value === undefined || value.shape.length > 1) return undefined
    const tensor = this.constants(value.name)
    return tensor === undefined ? this.contents(value.name) : Array.from(tensor.data as ArrayLike<unknown>, Number)
  }

  constant(place: number): Tensor | undefined {
    const value = this.inputs[place]
    return value === undefined ? undefined : this.constants(value.name)
  }

  axis(axis: number, rank: number): number {
    return axisOf(this.operator, axis, rank)
  }

  /** An output like the first input, of another shape or type where given. */
  like(shape: readonly Dim[] = this.in(0).shape, dtype = this.in(0).dtype): ValueType[] {
    return [{ dtype, shape }]
  }

  invalid(reason: string): Error {
    return errors.GRAPH_INVALID({ operator: this.operator, reason })
  }
}

/** The types of a node's outputs from its inputs and attributes. */
export type InferRule = (node: NodeContext) => ValueType[]
