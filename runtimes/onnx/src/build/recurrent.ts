import type { NodeContext } from './context.js'
import type { GraphBuilder } from './graph-builder.js'
import { type Dim, floats, int64s, type Value } from './value.js'

/** Blocks of hidden-size rows in the weights: LSTM i o f c, GRU z r h. */
export const GATES: Readonly<Record<string, number>> = { GRU: 3, LSTM: 4, RNN: 1 }

/** The last activation comes after the gates'. */
const ACTIVATIONS: Readonly<Record<string, readonly string[]>> = {
  GRU: ['sigmoid tanh', 'hardsigmoid tanh'],
  LSTM: ['sigmoid tanh tanh', 'hardsigmoid tanh tanh'],
  RNN: ['tanh', 'relu', 'sigmoid'],
}

/** What the gates of an LSTM or GRU go through: a sigmoid, or max(0, min(1, alpha x + beta)). */
export interface Gate {
  readonly hard: { readonly alpha: number; readonly beta: number } | undefined
}

/** ONNX's numbers of a HardSigmoid that gives none of its own. */
const HARD = { alpha: 0.2, beta: 0.5 }
/** Activations that have numbers: each takes the next ones of `activation_alpha` and `activation_beta`. */
const WITH_ALPHA = new Set(['affine', 'leakyrelu', 'thresholdedrelu', 'scaledtanh', 'hardsigmoid', 'elu'])
const WITH_BETA = new Set(['affine', 'scaledtanh', 'hardsigmoid'])

/** A node of a recurrent operator, read: one entry of `reverse` for each of its directions. */
export interface Recurrent {
  readonly operator: string
  readonly hidden: number
  readonly reverse: readonly boolean[]
  /** Batch first (layout 1). */
  readonly batchFirst: boolean
  /** Of the operator's last activation, in lower case, by direction. */
  readonly activations: readonly string[]
  /** By direction. */
  readonly gates: readonly Gate[]
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
    gates: gatesOf(each, attributes),
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

function gatesOf(each: readonly string[], attributes: NodeLike['attributes']): Gate[] {
  const numbers = (name: string) => [...((attributes[name] as readonly number[] | undefined) ?? [])]
  const [alphas, betas] = [numbers('activation_alpha'), numbers('activation_beta')]
  return each.map((names) => {
    const [first] = names.split(' ').map((name) => ({
      name,
      alpha: (WITH_ALPHA.has(name) ? alphas.shift() : undefined) ?? HARD.alpha,
      beta: (WITH_BETA.has(name) ? betas.shift() : undefined) ?? HARD.beta,
    }))
    return { hard: first?.name === 'hardsigmoid' ? first : undefined }
  })
}

/** The gates' activation. */
export function gated(g: GraphBuilder, { hard }: Gate, value: Value): Value {
  if (hard === undefined) return g.op('Sigmoid', [value])
  const { alpha, beta } = hard
  if (value.dtype === 'float32') return g.op('HardSigmoid', [value], { alpha, beta })
  // The engine has that operator in float32 alone.
  const number = (x: number): Value => g.constant(floats(value.dtype, [x]))
  return g.op('Clip', [g.op('Add', [g.op('Mul', [value, number(alpha)]), number(beta)]), number(0), number(1)])
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
  readonly gate: Gate
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
    gate: kind.gates[at] ?? { hard: undefined },
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
