import * as tf from '@tensorflow/tfjs-core'
import { type Attributes, attributesOf, type Graph, type Node } from '@tideway/onnx'
import { errors } from '../errors.js'

/** A tensor on the backend; `host` has its numbers where they are known without asking the backend for them. */
export interface Held {
  readonly tensor: tf.Tensor
  readonly host?: readonly number[] | undefined
}

/** Runs a graph inside of a node: what it takes by name, and what it gives in the order of its outputs. */
export type RunBody = (body: Graph, taken: ReadonlyMap<string, Held>) => tf.Tensor[]

/** What an operator is computed from. */
export class NodeContext {
  private readonly attributes: Attributes

  constructor(
    readonly node: Node,
    private readonly inputs: readonly (Held | undefined)[],
    readonly runBody: RunBody,
  ) {
    this.attributes = attributesOf(node)
  }

  get operator(): string {
    return this.node.opType ?? ''
  }

  get label(): string {
    return `${this.node.name || this.node.output[0]} (${this.operator})`
  }

  /** How many inputs the node has, those left out in between counted. */
  get count(): number {
    return this.inputs.length
  }

  in(place: number): tf.Tensor {
    const held = this.inputs[place]
    if (held === undefined) throw this.invalid(`input ${place} is missing`)
    return held.tensor
  }

  maybe(place: number): tf.Tensor | undefined {
    return this.inputs[place]?.tensor
  }

  /** Every input that is there. */
  all(): tf.Tensor[] {
    return this.inputs.flatMap((held) => (held === undefined ? [] : [held.tensor]))
  }

  /** The numbers of an input that says what the node is to do (a shape, axes); undefined when it is left out. */
  numbers(place: number): readonly number[] | undefined {
    const held = this.inputs[place]
    if (held === undefined) return undefined
    if (held.host === undefined) throw this.invalid(`input ${place} is to be known before the graph runs`)
    return held.host
  }

  /** Axes or sizes given as an input (as newer operator sets have them) or as an attribute. */
  list(place: number, attribute: string): readonly number[] | undefined {
    return this.numbers(place) ?? this.ints(attribute)
  }

  ints(name: string): readonly number[] | undefined {
    const value = this.attributes[name]
    return Array.isArray(value) ? value.map(Number) : undefined
  }

  int(name: string, otherwise: number): number {
    const value = this.attributes[name]
    return typeof value === 'bigint' ? Number(value) : otherwise
  }

  float(name: string, otherwise: number): number {
    const value = this.attributes[name]
    return typeof value === 'number' ? value : otherwise
  }

  string(name: string, otherwise: string): string {
    const value = this.attributes[name]
    return typeof value === 'string' ? value : otherwise
  }

  strings(name: string): readonly string[] {
    const value = this.attributes[name]
    return Array.isArray(value) ? value.map(String) : []
  }

  floats(name: string): readonly number[] {
    const value = this.attributes[name]
    return Array.isArray(value) ? value.map(Number) : []
  }

  attribute(name: string): Attributes[string] | undefined {
    return this.attributes[name]
  }

  /** The graph of an attribute. */
  body(name: string): Graph {
    const graph = this.node.attribute.find((attribute) => attribute.name === name)?.g
    if (graph === undefined) throw this.invalid(`it has no graph "${name}"`)
    return graph
  }

  invalid(reason: string): Error {
    return errors.TFJS_GRAPH_UNSUPPORTED({ issues: [`${this.label}: ${reason}`] })
  }
}

/** Computes an operator; one tensor for an operator with one output. */
export type Kernel = (c: NodeContext) => tf.Tensor | readonly (tf.Tensor | undefined)[]
export type Kernels = Readonly<Record<string, Kernel>>

/** An axis counted from the front. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

/** A tensor with singleton axes in front, up to a rank. */
export const toRank = (x: tf.Tensor, rank: number): tf.Tensor =>
  x.rank >= rank ? x : tf.reshape(x, [...Array<number>(rank - x.rank).fill(1), ...x.shape])
