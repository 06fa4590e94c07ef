import type { NodeContext } from './context.js'
import type { GraphBuilder } from './graph-builder.js'
import { type Dim, floats, int64s, type Value } from './value.js'

/** Blocks of hidden-size rows in the weights: LSTM i o f c, GRU z r h. */
export const GATES: Readonly<Record<string, number>> = { GRU: 3, LSTM: 4, RNN: 1 }

/** The last activation comes after the gates' sigmoids. */
const ACTIVATIONS: Readonly<Record<string, readonly string[]>> = {
  GRU: ['sigmoid tanh'],
  LSTM: ['sigmoid tanh tanh'],
  RNN: ['tanh', 'relu', 'sigmoid'],
}

/** A node of a recurrent operator, read: one entry of `reverse` for each of its directions. */
export interface Recurrent {
  readonly operator: string
  readonly hidden: number
  readonly reverse: readonly boolean[]
  /** Batch first (layout 1). */
  readonly batchFirst: boolean
  /** Of the operator's last activation, in lower case, by direction. */
  readonly activations: readonly string[]
  /** GRU: the recurrent product is taken before it is reset. */
  readonly linearBeforeReset: boolean
}

type NodeLike = Pick<NodeContext, 'attributes' | 'inputs'>

export function recurrentOf(operator: string, node: NodeLike): Recurrent {
  const { attributes } = node
  const direction = attributes['direction'] ?? 'forward'
  const reverse = direction === 'bidirectional' ? [false, true] : [direction === 'reverse']
  const hidden = node.inputs[2]?.shape.at(-1)
  const each = activationsOf(operator, node, reverse.length)
  return {
    operator,
    hidden: Number(attributes['hidden_size'] ?? hidden),
    reverse,
    batchFirst: attributes['layout'] === 1n,
    activations: each.map((names) => names.split(' ').at(-1) as string),
    linearBeforeReset: attributes['linear_before_reset'] === 1n,
  }
}

function activationsOf(operator: string, { attributes }: NodeLike, directions: number): string[] {
  const given = attributes['activations'] as readonly string[] | undefined
  const standard = ACTIVATIONS[operator]?.[0] as string
  const size = standard.split(' ').length
  return Array.from({ length: directions }, (_, at) =>
    given === undefined
      ? standard
      : given
          .slice(at * size, (at + 1) * size)
          .join(' ')
          .toLowerCase(),
  )
}

/**
 * What of a recurrent node neither its gradient nor its form in float64 covers, as what to write instead; undefined
 * where there is nothing.
 */
export function recurrentLimit(operator: string, node: NodeLike): string | undefined {
  const { attributes, inputs } = node
  const forms = ACTIVATIONS[operator] ?? []
  const directions = attributes['direction'] === 'bidirectional' ? 2 : 1
  if (activationsOf(operator, node, directions).some((names) => !forms.includes(names)))
    return `${operator} with activations ${forms.map((names) => names.split(' ').join(', ')).join(' or ')}`
  if (inputs[4] !== undefined) return `${operator} without sequence_lens, on sequences of one length`
  if (inputs[7] !== undefined) return `${operator} without peepholes (input P)`
  if (attributes['clip'] !== undefined) return `${operator} without clip`
  if (attributes['input_forget'] === 1n) return `${operator} without input_forget`
  return undefined
}

/** One direction of a node: its own part of each input, cut out when asked for. */
export interface Direction {
  /** Where it comes among the node's directions. */
  readonly at: number
  readonly reverse: boolean
  readonly activation: string
  readonly hidden: number
  /** [gates · hidden, features] */
  readonly w: () => Value
  /** [gates · hidden, hidden] */
  readonly r: Value
  /** The biases of the input's and of the state's product, [gates · hidden] each. */
  readonly biases: () => readonly [Value, Value] | undefined
  /** [batch, hidden] */
  readonly h0: () => Value
  readonly c0: () => Value
}

/** [steps, batch, features], whatever the layout. */
export const stepsFirst = (g: GraphBuilder, { batchFirst }: Recurrent, value: Value): Value =>
  batchFirst ? g.op('Transpose', [value], { perm: [1n, 0n, 2n] }) : value

/** A node's directions; `x` is [steps, batch, …]. */
export function directionsOf(g: GraphBuilder, node: NodeLike, kind: Recurrent, x: Value): Direction[] {
  const [, w, r, b, , h0, c0] = node.inputs
  const count = kind.reverse.length
  const state = (given: Value | undefined, at: number): Value =>
    given === undefined
      ? g.op('Expand', [g.constant(floats(x.dtype, [0])), sizes(g, [x.shape[1] ?? 1, kind.hidden], x)])
      : part(g, stepsFirst(g, kind, given), 0, at, count)
  return kind.reverse.map((reverse, at) => ({
    at,
    reverse,
    activation: kind.activations[at] ?? 'tanh',
    hidden: kind.hidden,
    w: () => part(g, w as Value, 0, at, count),
    r: part(g, r as Value, 0, at, count),
    biases: () => b && (equalParts(g, part(g, b, 0, at, count), 0, 2) as [Value, Value]),
    h0: () => state(h0, at),
    c0: () => state(c0, at),
  }))
}

/** One of `count` slices along an axis, without the axis. */
export function part(g: GraphBuilder, value: Value, axis: number, at: number, count: number): Value {
  const all = count === 1 ? [value] : equalParts(g, value, axis, count)
  return g.op('Squeeze', [all[at] as Value, g.constant(int64s([axis]))])
}

/** Cuts an axis into parts of the given sizes. */
export const blocks = (g: GraphBuilder, value: Value, axis: number, lengths: readonly number[]): Value[] =>
  g.ops('Split', [value, g.constant(int64s(lengths))], { axis: BigInt(axis) }, { outputs: lengths.length })

/** Cuts an axis into equal parts. */
export const equalParts = (g: GraphBuilder, value: Value, axis: number, count: number): Value[] =>
  g.ops('Split', [value], { axis: BigInt(axis) }, { outputs: count })

/** A shape as an int64 vector; sizes known only at run time are looked up in `from`, which has them. */
export function sizes(g: GraphBuilder, shape: readonly Dim[], from: Value): Value {
  const vector = (values: readonly number[]): Value => g.constant(int64s(values))
  if (shape.every((size) => typeof size === 'number')) return vector(shape.map(Number))
  const each = shape.map((size) =>
    typeof size === 'number'
      ? vector([size])
      : g.op('Gather', [g.op('Shape', [from]), vector([from.shape.indexOf(size)])], { axis: 0n }),
  )
  return g.op('Concat', each, { axis: 0n })
}

/** All steps' rows as one matrix, so that one product serves them all. */
export const rows = (g: GraphBuilder, value: Value): Value => g.op('Flatten', [value], { axis: 2n })

/** Such a matrix by steps again, [steps, batch, columns]; `x` is [steps, batch, …]. */
export const steps = (g: GraphBuilder, value: Value, x: Value, columns: Dim): Value =>
  g.op('Reshape', [value, sizes(g, [x.shape[0] ?? 1, x.shape[1] ?? 1, columns], x)], { allowzero: 1n })
