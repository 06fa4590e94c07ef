import type { NodeContext } from './context.js'
import type { GraphBuilder } from './graph-builder.js'
import {
  blocks,
  type Direction,
  directionsOf,
  equalParts,
  GATES,
  type Gate,
  gated,
  type Recurrent,
  recurrentLimit,
  recurrentOf,
  rows,
  steps,
  stepsFirst,
} from './recurrent.js'
import { type Scanned, type ScanStep, scan } from './scan.js'
import { int64s, type Value } from './value.js'

/**
 * LSTM, GRU and RNN as a Scan, for what engines have no kernel for: ONNX Runtime's take float32 and steps first, and
 * those of LSTM and GRU end the process (1.30) when the batch has no rows. Undefined where they serve, so that the model
 * has the operator itself, and for forms that the Scan does not cover.
 */
export function lowerRecurrent(g: GraphBuilder, node: NodeContext, name: string): Value[] | undefined {
  const kind = recurrentOf(node.operator, node)
  const { dtype, shape } = node.in(0)
  if (dtype === 'float32' && !kind.batchFirst && shape[1] !== 0) return undefined
  return recurrentLimit(node.operator, node) === undefined ? scanned(g, node, kind, name) : undefined
}

/** The operator's outputs, as many as the node has, computed by a Scan for each direction. */
export function scanned(g: GraphBuilder, node: NodeContext, kind: Recurrent, name: string): Value[] {
  const x = stepsFirst(g, kind, node.in(0))
  const runs = directionsOf(g, node, kind, x).map((direction) => run(g, kind, direction, x))
  const stack = (values: readonly Value[], axis: number, batchFirst: readonly bigint[], place: number): Value => {
    const options = { name: place === 0 ? name : `${name}_${place}` }
    const each = values.map((value) => g.op('Unsqueeze', [value, g.constant(int64s([axis]))]))
    const all = g.op('Concat', each, { axis: BigInt(axis) }, kind.batchFirst ? {} : options)
    return kind.batchFirst ? g.op('Transpose', [all], { perm: batchFirst }, options) : all
  }
  const y = runs.map((one) => one.sequences[0] as Value)
  const last = (runs[0] as Scanned).states.map((_, place) => runs.map((one) => one.states[place] as Value))
  return [
    stack(y, 1, [2n, 0n, 1n, 3n], 0),
    ...last.slice(0, node.outputCount - 1).map((values, at) => stack(values, 0, [1n, 0n, 2n], at + 1)),
  ]
}

/** The states of one direction go along the sequence; the product with the inputs is one for all steps. */
function run(
  g: GraphBuilder,
  kind: Recurrent,
  { hidden, w, r, biases, h0, c0, reverse, activation, gate }: Direction,
  x: Value,
) {
  const gates = GATES[kind.operator] ?? 1
  const outside = kind.operator === 'GRU' && kind.linearBeforeReset
  const [inner, outer] = biases() ?? []
  const bias = outer && (outside ? inner : g.op('Add', [inner as Value, outer]))
  const px = steps(g, g.op('Gemm', [rows(g, x), w(), bias], { transB: 1n }), x, gates * hidden)
  const over = { kept: [r], states: [h0()], sequences: [px], reverse }
  if (kind.operator === 'LSTM') return scan(g, { ...over, states: [h0(), c0()] }, lstm(hidden, gate))
  if (kind.operator === 'RNN') return scan(g, over, rnn(activation))
  if (!outside) return scan(g, { ...over, kept: blocks(g, r, 0, [2 * hidden, hidden]) }, gru(hidden, gate))
  return scan(g, { ...over, kept: outer === undefined ? [r] : [r, outer] }, gruLinear(hidden, gate))
}

const OPERATOR: Readonly<Record<string, string>> = { relu: 'Relu', sigmoid: 'Sigmoid', tanh: 'Tanh' }

const rnn =
  (activation: string): ScanStep =>
  (b, [r], [h], [px]) => {
    const next = b.op(OPERATOR[activation] as string, [b.op('Gemm', [h, r, px], { transB: 1n })])
    return { states: [next], gives: [next] }
  }

/** Hochreiter and Schmidhuber 1997 with forget gates (Gers et al. 2000); gates i o f and the candidate. */
const lstm =
  (hidden: number, gate: Gate): ScanStep =>
  (b, [r], [h, c], [px]) => {
    const [gates, candidate] = blocks(b, b.op('Gemm', [h, r, px], { transB: 1n }), 1, [3 * hidden, hidden]) as [
      Value,
      Value,
    ]
    const [i, o, f] = equalParts(b, gated(b, gate, gates), 1, 3)
    const next = b.op('Add', [b.op('Mul', [f, c]), b.op('Mul', [i, b.op('Tanh', [candidate])])])
    const y = b.op('Mul', [o, b.op('Tanh', [next])])
    return { states: [y, next], gives: [y] }
  }

/** n + z (h - n), which is (1 - z) n + z h. */
const mix = (b: GraphBuilder, z: Value, h: Value, n: Value): ReturnType<ScanStep> => {
  const next = b.op('Add', [n, b.op('Mul', [z, b.op('Sub', [h, n])])])
  return { states: [next], gives: [next] }
}

/** Cho et al. 2014, arXiv:1406.1078: the state is reset, then multiplied. */
const gru =
  (hidden: number, gate: Gate): ScanStep =>
  (b, [rGates, rCandidate], [h], [px]) => {
    const [pGates, pCandidate] = blocks(b, px as Value, 1, [2 * hidden, hidden]) as [Value, Value]
    const gates = gated(b, gate, b.op('Gemm', [h, rGates, pGates], { transB: 1n }))
    const [z, reset] = equalParts(b, gates, 1, 2) as [Value, Value]
    const n = b.op('Tanh', [b.op('Gemm', [b.op('Mul', [reset, h]), rCandidate, pCandidate], { transB: 1n })])
    return mix(b, z, h as Value, n)
  }

/** The state is multiplied, then reset: the form of cuDNN, Keras (`reset_after`) and PyTorch. */
const gruLinear =
  (hidden: number, gate: Gate): ScanStep =>
  (b, [r, bias], [h], [px]) => {
    const [pGates, pCandidate] = blocks(b, px as Value, 1, [2 * hidden, hidden]) as [Value, Value]
    const [hGates, hCandidate] = blocks(b, b.op('Gemm', [h, r, bias], { transB: 1n }), 1, [2 * hidden, hidden]) as [
      Value,
      Value,
    ]
    const gates = gated(b, gate, b.op('Add', [pGates, hGates]))
    const [z, reset] = equalParts(b, gates, 1, 2) as [Value, Value]
    const n = b.op('Tanh', [b.op('Add', [pCandidate, b.op('Mul', [reset, hCandidate])])])
    return mix(b, z, h as Value, n)
  }
