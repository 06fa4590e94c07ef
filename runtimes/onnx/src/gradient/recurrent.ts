import type { GraphBuilder } from '../build/graph-builder.js'
import { blocks, type Direction, equalParts, type Gate, gated, rows, steps } from '../build/recurrent.js'
import { type Scanned, type ScanStep, scan } from '../build/scan.js'
import { floats, int64s, type Value } from '../build/value.js'

/** One direction's way back: what it was, what it gave, and the loss's slopes by that. */
export interface Back extends Direction {
  /** [steps, batch, features] */
  readonly x: () => Value
  /** What it gave, and the state before each step: [steps, batch, hidden]. */
  readonly y: Value
  readonly before: () => Value
  /** By each step's output; undefined where only the last state counts. */
  readonly dy: Value | undefined
  /** By the last state and the last cell. */
  readonly dh: Value
  readonly dc: () => Value
}

/**
 * The gradients by the products, which are those by the biases too, and by the initial states. What is not asked for
 * adds no nodes.
 */
export interface Slopes {
  /** By x Wᵀ, as a matrix [steps · batch, gates · hidden]. */
  readonly dx: () => Value
  /** By the recurrent product; the same value where it is the same. */
  readonly dr: () => Value
  /** The gradient by R. */
  readonly r: () => Value
  readonly dh0: Value
  readonly dc0?: Value
}

const op = (g: GraphBuilder, opType: string, ...inputs: readonly (Value | undefined)[]): Value => g.op(opType, inputs)
const mul = (g: GraphBuilder, first: Value, ...rest: readonly Value[]): Value =>
  rest.reduce((product, value) => op(g, 'Mul', product, value), first)
const oneMinus = (g: GraphBuilder, value: Value): Value => op(g, 'Sub', g.constant(floats(value.dtype, [1])), value)
const columns = (g: GraphBuilder, ...values: readonly Value[]): Value => g.op('Concat', values, { axis: 1n })
/** a Bᵀ + c, and Aᵀ b. */
const timesTransposed = (g: GraphBuilder, a: Value, b: Value, c?: Value): Value =>
  g.op('Gemm', [a, b, c], { transB: 1n })
const byWeights = (g: GraphBuilder, slope: Value, input: Value): Value => g.op('Gemm', [slope, input], { transA: 1n })
/** s (1 - s), the slope of a sigmoid, and 1 - t², that of a tanh. */
const sigmoidSlope = (g: GraphBuilder, s: Value): Value => mul(g, s, oneMinus(g, s))
/** The same of gates, whose hard form is flat at its ends. */
function gateSlope(g: GraphBuilder, { hard }: Gate, s: Value): Value {
  if (hard === undefined) return sigmoidSlope(g, s)
  const number = (x: number): Value => g.constant(floats(s.dtype, [x]))
  const inside = op(g, 'And', op(g, 'Greater', s, number(0)), op(g, 'Less', s, number(1)))
  return op(g, 'Where', inside, number(hard.alpha), number(0))
}
const tanhSlope = (g: GraphBuilder, t: Value): Value => oneMinus(g, mul(g, t, t))

/** The values of a sequence one step earlier, the initial one first. */
export function shifted(g: GraphBuilder, values: Value, initial: Value, reverse: boolean): Value {
  const at = (value: number): Value => g.constant(int64s([value]))
  const first = g.op('Unsqueeze', [initial, at(0)])
  const rest = g.op('Slice', [values, at(reverse ? 1 : 0), at(reverse ? Number.MAX_SAFE_INTEGER : -1), at(0)])
  return g.op('Concat', reverse ? [rest, first] : [first, rest], { axis: 0n })
}

/** All steps' rows of so many blocks of hidden-size columns. */
type Along = readonly [Value, number]

/** Goes back along the sequence; the state's slope is the first of the states, each step's own is added to it. */
function back(
  g: GraphBuilder,
  { y, dy, reverse, hidden }: Back,
  over: { readonly kept: readonly Value[]; readonly states: readonly Value[]; readonly sequences: readonly Along[] },
  step: ScanStep,
): Scanned {
  const sequences = over.sequences.map(([value, blocks]) => steps(g, value, y, blocks * hidden))
  if (dy === undefined) return scan(g, { ...over, sequences, reverse: !reverse }, step)
  return scan(g, { ...over, sequences: [...sequences, dy], reverse: !reverse }, (b, kept, [dh, ...states], slices) =>
    step(b, kept, [op(b, 'Add', dh, slices.at(-1)), ...states], slices.slice(0, -1)),
  )
}

/** h = a(x Wᵀ + h Rᵀ + b): the slope of a shows in h itself. */
export function rnnBack(g: GraphBuilder, d: Back): Slopes {
  const y = rows(g, d.y)
  const slopes: Readonly<Record<string, () => Value>> = {
    relu: () => op(g, 'Sign', y),
    sigmoid: () => sigmoidSlope(g, y),
    tanh: () => tanhSlope(g, y),
  }
  const slope = (slopes[d.activation] as () => Value)()
  const run = back(g, d, { kept: [d.r], states: [d.dh], sequences: [[slope, 1]] }, (b, [r], [dh], [a]) => {
    const da = op(b, 'Mul', dh, a)
    return { states: [op(b, 'MatMul', da, r)], gives: [da] }
  })
  const da = (): Value => rows(g, run.sequences[0] as Value)
  return { dx: da, dr: da, r: () => byWeights(g, da(), rows(g, d.before())), dh0: run.states[0] as Value }
}

/**
 * The operator gives no gates: they are computed again, for all steps by one product each, since the states before
 * each step are in Y. The cells must be gone along once more (a product and a sum a step). All slopes of the gates are
 * then products of whole sequences, and six small nodes a step are left for the way back.
 *
 * Measured with ONNX Runtime 1.30 on one thread, least of 15 runs, in ms for loss and gradients, at (steps, batch,
 * features, hidden) of (50, 32, 10, 32), (50, 64, 40, 64), (100, 32, 40, 128): 1.8, 11, 32; the operator alone 0.7,
 * 2.6, 7.2; PyTorch 2.15 with oneDNN 1.4, 8.3, 22 (for a GRU 6.0, 12, 31, where `gruLinearBack` takes 1.6, 8.9, 27). An
 * unrolled forward pass that keeps its gates saves 4 to 12% or costs 6%, and the model would no longer have the
 * operator. Unrolling the way back is no faster than Scan, takes 20 to 130 ms to load instead of 3, and needs the
 * number of steps beforehand.
 */
export function lstmBack(g: GraphBuilder, d: Back): Slopes {
  const h = rows(g, d.before())
  const px = timesTransposed(g, rows(g, d.x()), d.w(), bias(g, d))
  const [gates, candidate] = blocks(g, timesTransposed(g, h, d.r, px), 1, [3 * d.hidden, d.hidden]) as [Value, Value]
  const iof = gated(g, d.gate, gates)
  const [i, o, f] = equalParts(g, iof, 1, 3) as [Value, Value, Value]
  const n = op(g, 'Tanh', candidate)
  const again = scan(
    g,
    {
      kept: [],
      states: [d.c0()],
      sequences: [f, mul(g, i, n)].map((v) => steps(g, v, d.y, d.hidden)),
      reverse: d.reverse,
    },
    (b, _, [c], [forget, add]) => {
      const next = op(b, 'Add', op(b, 'Mul', c, forget), add)
      return { states: [next], gives: [next] }
    },
  )
  const cells = again.sequences[0] as Value
  const cBefore = rows(g, shifted(g, cells, d.c0(), d.reverse))
  const squashed = op(g, 'Tanh', rows(g, cells))
  const byHidden = mul(g, o, tanhSlope(g, squashed))
  const slopes = columns(
    g,
    mul(g, gateSlope(g, d.gate, iof), columns(g, n, squashed, cBefore)),
    mul(g, i, tanhSlope(g, n)),
  )
  const over = {
    kept: [d.r],
    states: [d.dh, d.dc()],
    sequences: [
      [byHidden, 1],
      [f, 1],
      [slopes, 4],
    ],
  } as const
  const run = back(g, d, over, (b, [r], [dh, dc], [cellByHidden, forget, slope]) => {
    const dCell = op(b, 'Add', dc, op(b, 'Mul', dh, cellByHidden))
    const dGates = mul(b, columns(b, dCell, dh as Value, dCell, dCell), slope as Value)
    return { states: [op(b, 'MatMul', dGates, r), op(b, 'Mul', dCell, forget)], gives: [dGates] }
  })
  const dGates = (): Value => rows(g, run.sequences[0] as Value)
  const [dh0, dc0] = run.states as [Value, Value]
  return { dx: dGates, dr: dGates, r: () => byWeights(g, dGates(), h), dh0, dc0 }
}

/** Both products' biases, where they add up. */
function bias(g: GraphBuilder, { biases }: Direction): Value | undefined {
  const both = biases()
  return both && op(g, 'Add', ...both)
}

/** The state is reset, then multiplied: two products a step on the way back. */
export function gruBack(g: GraphBuilder, d: Back): Slopes {
  const h = rows(g, d.before())
  const px = timesTransposed(g, rows(g, d.x()), d.w(), bias(g, d))
  const [pGates, pCandidate] = blocks(g, px, 1, [2 * d.hidden, d.hidden]) as [Value, Value]
  const [rGates, rCandidate] = blocks(g, d.r, 0, [2 * d.hidden, d.hidden]) as [Value, Value]
  const zr = gated(g, d.gate, timesTransposed(g, h, rGates, pGates))
  const [z, reset] = equalParts(g, zr, 1, 2) as [Value, Value]
  const kept = mul(g, reset, h)
  const n = op(g, 'Tanh', timesTransposed(g, kept, rCandidate, pCandidate))
  const byCandidate = mul(g, oneMinus(g, z), tanhSlope(g, n))
  const gateSlopes = mul(g, gateSlope(g, d.gate, zr), columns(g, op(g, 'Sub', h, n), h))
  const along = [
    [byCandidate, 1],
    [gateSlopes, 2],
    [z, 1],
    [reset, 1],
  ] as const
  const over = { kept: [rGates, rCandidate], states: [d.dh], sequences: along }
  const run = back(g, d, over, (b, [byGates, byOwn], [dh], [candidate, gates, update, keep]) => {
    const dn = op(b, 'Mul', dh, candidate)
    const dKept = op(b, 'MatMul', dn, byOwn)
    const dGates = mul(b, columns(b, dh as Value, dKept), gates as Value)
    const direct = op(b, 'Add', op(b, 'Mul', dKept, keep), op(b, 'Mul', dh, update))
    return { states: [op(b, 'Add', op(b, 'MatMul', dGates, byGates), direct)], gives: [dGates, dn] }
  })
  const [dGates, dn] = run.sequences as [Value, Value]
  const all = (): Value => columns(g, rows(g, dGates), rows(g, dn))
  const r = (): Value =>
    g.op('Concat', [byWeights(g, rows(g, dGates), h), byWeights(g, rows(g, dn), kept)], { axis: 0n })
  return { dx: all, dr: all, r, dh0: run.states[0] as Value }
}

/** The state is multiplied, then reset: all gates' slopes by the state are known beforehand, one product a step. */
export function gruLinearBack(g: GraphBuilder, d: Back): Slopes {
  const h = rows(g, d.before())
  const [inner, outer] = d.biases() ?? []
  const [pGates, pCandidate] = blocks(g, timesTransposed(g, rows(g, d.x()), d.w(), inner), 1, [
    2 * d.hidden,
    d.hidden,
  ]) as [Value, Value]
  const [hGates, hCandidate] = blocks(g, timesTransposed(g, h, d.r, outer), 1, [2 * d.hidden, d.hidden]) as [
    Value,
    Value,
  ]
  const zr = gated(g, d.gate, op(g, 'Add', pGates, hGates))
  const [z, reset] = equalParts(g, zr, 1, 2) as [Value, Value]
  const n = op(g, 'Tanh', op(g, 'Add', pCandidate, mul(g, reset, hCandidate)))
  const byCandidate = mul(g, oneMinus(g, z), tanhSlope(g, n))
  const gateSlopes = mul(g, gateSlope(g, d.gate, zr), columns(g, op(g, 'Sub', h, n), mul(g, byCandidate, hCandidate)))
  const slopes = columns(g, gateSlopes, mul(g, byCandidate, reset))
  const run = back(
    g,
    d,
    {
      kept: [d.r],
      states: [d.dh],
      sequences: [
        [slopes, 3],
        [z, 1],
      ],
    },
    (b, [r], [dh], [slope, update]) => {
      const dAll = mul(b, columns(b, dh as Value, dh as Value, dh as Value), slope as Value)
      return { states: [op(b, 'Add', op(b, 'MatMul', dAll, r), op(b, 'Mul', dh, update))], gives: [dAll, dh as Value] }
    },
  )
  const [dAll, dh] = run.sequences as [Value, Value]
  const dr = (): Value => rows(g, dAll)
  const dx = (): Value => {
    const [dGates] = blocks(g, dr(), 1, [2 * d.hidden, d.hidden]) as [Value]
    return columns(g, dGates, mul(g, rows(g, dh), byCandidate))
  }
  return { dx, dr, r: () => byWeights(g, dr(), h), dh0: run.states[0] as Value }
}
