import type { Tensor } from '@tideway/core'
import type { NodeContext } from '../build/context.js'
import type { GraphBuilder } from '../build/graph-builder.js'
import { type Dim, floats, type Value, type ValueType } from '../build/value.js'
import { errors } from '../errors.js'
import type { Attributes } from '../format/node.js'
import { ELEMENT_TYPE } from '../format/types.js'
import type { ImportedNode } from './model.js'

/** The same graph with the batch that the exporter wrote down, where this graph has another. */
export interface Exported {
  readonly batch: number
  shapeOf(value: string): readonly Dim[] | undefined
}

/** One imported node on its way into a graph: what its adapter sees, and the means to add operators of set 17. */
export class NodeEmission {
  private readonly info: NodeContext

  constructor(
    readonly g: GraphBuilder,
    readonly node: ImportedNode,
    readonly opset: number,
    readonly inputs: readonly (Value | undefined)[],
    /** The name that the first result is to have. */
    private readonly name: string,
    readonly exported: Exported | undefined,
  ) {
    this.info = g.context(node.opType, inputs, node.attributes, node.outputs.length)
  }

  get attributes(): Attributes {
    return this.node.attributes
  }

  in(place: number): Value {
    const value = this.inputs[place]
    if (value === undefined) throw this.refuse(`input ${place} is missing`)
    return value
  }

  int(name: string, fallback: number): number {
    return this.info.int(name, fallback)
  }

  float(name: string, fallback: number): number {
    return this.info.float(name, fallback)
  }

  ints(name: string): number[] | undefined {
    return this.info.ints(name)
  }

  string(name: string, fallback: string): string {
    const value = this.attributes[name]
    return typeof value === 'string' ? value : fallback
  }

  /** What is known of an input that holds sizes: numbers, and names of sizes known only at run time. */
  sizes(place: number): readonly Dim[] | undefined {
    return this.info.sizes(place)
  }

  constantInts(place: number): number[] | undefined {
    return this.info.constantInts(place)
  }

  constant(place: number): Tensor | undefined {
    return this.info.constant(place)
  }

  axis(axis: number, rank = this.in(0).shape.length): number {
    return this.info.axis(axis, rank)
  }

  /** A step on the way. */
  op(opType: string, inputs: readonly (Value | undefined)[], attributes: Attributes = {}): Value {
    return this.g.op(opType, inputs, attributes)
  }

  /** The node's result, under its name. */
  result(opType: string, inputs: readonly (Value | undefined)[], attributes: Attributes = {}): Value[] {
    return this.results(opType, inputs, attributes, 1)
  }

  results(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    outputs: number,
    types?: readonly ValueType[],
  ): Value[] {
    return this.g.ops(opType, inputs, attributes, { name: this.name, outputs, ...(types && { types }) })
  }

  int64s(values: readonly number[]): Value {
    return this.g.constant(typed('int64', values, [values.length]) as Tensor)
  }

  /** A scalar of a value's type. */
  scalar(number: number, like: Value = this.in(0)): Value {
    return this.g.constant(typed(like.dtype, [number], []) ?? floats(like.dtype, [number]))
  }

  cast(value: Value, dtype: Value['dtype']): Value {
    return value.dtype === dtype ? value : this.op('Cast', [value], { to: BigInt(ELEMENT_TYPE[dtype]) })
  }

  refuse(reason: string): Error {
    return errors.NODE_INVALID({ node: this.node.name, operator: this.node.opType, reason })
  }
}

/** Adds what a node computes, in operators of set 17, and gives its outputs; `undefined` for one that nothing takes. */
export type Adapter = (e: NodeEmission) => readonly (Value | undefined)[]

const LARGEST = 2n ** 63n - 1n

/** A constant of integers, truth values or floats; undefined for other types. */
export function typed(dtype: Value['dtype'], values: readonly number[], shape: readonly number[]): Tensor | undefined {
  if (dtype === 'float32') return { dtype, shape, data: Float32Array.from(values) }
  if (dtype === 'float64') return { dtype, shape, data: Float64Array.from(values) }
  if (dtype === 'int32') return { dtype, shape, data: Int32Array.from(values) }
  if (dtype === 'bool') return { dtype, shape, data: Uint8Array.from(values) }
  if (dtype !== 'int64') return undefined
  // Exporters write the largest integer for "to the end"; as a JavaScript number it is one more.
  const data = BigInt64Array.from(values, (value) => (value >= 2 ** 63 ? LARGEST : BigInt(value)))
  return { dtype, shape, data }
}
