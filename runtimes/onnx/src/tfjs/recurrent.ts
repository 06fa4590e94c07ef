import { GATES, type Gate, type Recurrent, recurrentLimit, recurrentOf } from '../build/recurrent.js'
import type { Emission, Rule, Rules } from './emission.js'
import { attr, type Ref } from './graph-def.js'
import { partOf, permuted, type Stored } from './tensor.js'
import { Refused } from './values.js'

/** Each step is nodes of its own: longer sequences make files that take long to load. */
const MOST_STEPS = 512

/** One direction, its weights turned for products from the left. */
interface Direction {
  readonly kind: Recurrent
  readonly at: number
  /** [hidden, gates · hidden]. */
  readonly recurrent: Stored
  /** Of the recurrent product, [gates · hidden]. */
  readonly bias: Float32Array | undefined
}

/** The next states, the hidden one first, from the input's product with W and the states; undefined stands for zeros. */
type Step = (e: Emission, x: Ref, states: readonly (Ref | undefined)[], own: Direction) => Ref[]

const vector = (e: Emission, data: Float32Array): Ref =>
  e.stored({ dtype: 'float32', shape: [data.length], data }, 'bias')
const columns = ({ recurrent }: Direction, from: number, to: number): Stored => {
  const [hidden = 1, width = 1] = recurrent.shape
  const data = new Float32Array(hidden * (to - from))
  for (let row = 0; row < hidden; row++)
    data.set(recurrent.data.subarray(row * width + from, row * width + to) as Float32Array, row * (to - from))
  return { dtype: 'float32', shape: [hidden, to - from], data }
}
const gates = (e: Emission, x: Ref, count: number): Ref[] =>
  e.split('Split', count, [e.number(1, 'int32'), x], { num_split: attr.int(count) })

function gated(e: Emission, { hard }: Gate, x: Ref): Ref {
  if (hard === undefined) return e.op('Sigmoid', [x])
  const line = e.op('AddV2', [e.op('Mul', [x, e.number(hard.alpha)]), e.number(hard.beta)])
  return e.op('ClipByValue', [line, e.number(0), e.number(1)])
}

const gateOf = ({ kind, at }: Direction): Gate => kind.gates[at] ?? { hard: undefined }

/** Hochreiter and Schmidhuber 1997; blocks i o f c. */
const lstm: Step = (e, x, [h, cell], own) => {
  const all = h === undefined ? x : e.op('AddV2', [x, e.op('MatMul', [h, e.stored(own.recurrent, 'R')])])
  const [i, o, f, c] = gates(e, all, 4) as [Ref, Ref, Ref, Ref]
  const fresh = e.op('Mul', [gated(e, gateOf(own), i), e.op('Tanh', [c])])
  const next = cell === undefined ? fresh : e.op('AddV2', [e.op('Mul', [gated(e, gateOf(own), f), cell]), fresh])
  return [e.op('Mul', [gated(e, gateOf(own), o), e.op('Tanh', [next])]), next]
}

/** Cho et al. 2014; blocks z r h. */
const gru: Step = (e, x, [h], own) => {
  const { hidden, linearBeforeReset } = own.kind
  const [xz, xr, xh] = gates(e, x, 3) as [Ref, Ref, Ref]
  const part = (at: number): Stored => columns(own, at * hidden, (at + 1) * hidden)
  const recalled = (from: Ref | undefined, at: number): Ref | undefined => {
    const bias = own.bias && linearBeforeReset && at === 2 ? vector(e, own.bias.slice(2 * hidden)) : undefined
    const product = from && e.op('MatMul', [from, e.stored(part(at), `R${at}`)])
    return product && bias ? e.op('AddV2', [product, bias]) : (product ?? bias)
  }
  const plus = (a: Ref, b: Ref | undefined): Ref => (b === undefined ? a : e.op('AddV2', [a, b]))
  const z = gated(e, gateOf(own), plus(xz, recalled(h, 0)))
  const r = gated(e, gateOf(own), plus(xr, recalled(h, 1)))
  const old = linearBeforeReset ? recalled(h, 2) : recalled(h && e.op('Mul', [r, h]), 2)
  const candidate = e.op('Tanh', [plus(xh, old && (linearBeforeReset ? e.op('Mul', [r, old]) : old))])
  const fresh = e.op('Mul', [e.op('Sub', [e.number(1), z]), candidate])
  return [h === undefined ? fresh : e.op('AddV2', [fresh, e.op('Mul', [z, h])])]
}

const PLAIN: Readonly<Record<string, string>> = { relu: 'Relu', sigmoid: 'Sigmoid', tanh: 'Tanh' }

const rnn: Step = (e, x, [h], own) => {
  const all = h === undefined ? x : e.op('AddV2', [x, e.op('MatMul', [h, e.stored(own.recurrent, 'R')])])
  return [e.op(PLAIN[own.kind.activations[own.at] ?? 'tanh'] ?? 'Tanh', [all])]
}

const STEPS: Readonly<Record<string, Step>> = { GRU: gru, LSTM: lstm, RNN: rnn }

/** Step by step, as many as the sequence has: Graph models have loops, but not on all backends, and slow ones. */
const recurrent: Rule = (e) => {
  const { opType } = e.node
  const limit = recurrentLimit(opType, e.info)
  if (limit !== undefined) throw new Refused(`it can be written as ${limit}`)
  const kind = recurrentOf(opType, e.info)
  const [steps = 0] = e.known([e.in(0).shape[kind.batchFirst ? 1 : 0] ?? 0], 'the number of steps')
  if (steps < 1 || steps > MOST_STEPS) throw new Refused(`${steps} steps; 1 to ${MOST_STEPS} can be written one by one`)
  const x = kind.batchFirst ? e.transpose(e.first(0), [1, 0, 2]) : e.first(0)
  const runs = kind.reverse.map((_, at) => run(e, kind, at, x, steps))
  const pack = (refs: readonly Ref[], axis: number): Ref =>
    e.op('Pack', refs, { axis: attr.int(axis), N: attr.int(refs.length) })
  const all = pack(
    runs.map(({ outputs }) => pack(outputs, 0)),
    1,
  )
  const y = kind.batchFirst ? e.transpose(all, [2, 0, 1, 3]) : all
  const last = Array.from({ length: opType === 'LSTM' ? 2 : 1 }, (_, place) =>
    pack(
      runs.map(({ final }) => final[place] as Ref),
      kind.batchFirst ? 1 : 0,
    ),
  )
  return [y, ...last]
}

/** One direction over [steps, batch, features]: every step's hidden state in order, and the last states. */
function run(e: Emission, kind: Recurrent, at: number, x: Ref, steps: number) {
  const [count, width] = [kind.reverse.length, (GATES[kind.operator] ?? 1) * kind.hidden]
  const matrix = (place: number): Stored => {
    const stored = e.constant(place)
    if (stored === undefined) throw new Refused('its weights are computed when the model runs; clean it up first')
    const own = partOf(stored, at, count)
    return permuted({ ...own, shape: own.shape.slice(1) }, [1, 0])
  }
  const bias = e.constant(3)?.data as Float32Array | undefined
  if (e.maybe(3) !== undefined && bias === undefined)
    throw new Refused('its bias is computed when the model runs; clean it up first')
  const own = bias?.slice(at * 2 * width, (at + 1) * 2 * width)
  const outer = own?.slice(width)
  // The recurrent bias is one summand more, but where a gate comes between.
  const kept = kind.operator === 'GRU' && kind.linearBeforeReset ? 2 * kind.hidden : width
  const inner = own?.slice(0, width).map((value, place) => (place < kept ? value + (outer?.[place] ?? 0) : value))
  const features = Number(e.in(0).shape[2])
  const rows = e.op('Reshape', [x, e.ints([-1, features])])
  const weights = e.stored(matrix(1), 'W')
  const product = e.op('MatMul', [rows, weights])
  const moved = inner === undefined ? product : e.op('BiasAdd', [product, vector(e, inner)])
  const each = e.split('Unpack', steps, [e.op('Reshape', [moved, e.ints([steps, -1, width])])], {
    axis: attr.int(0),
    num: attr.int(steps),
  })
  const direction: Direction = { kind, at, recurrent: matrix(2), bias: outer }
  const step = STEPS[kind.operator] as Step
  let states: (Ref | undefined)[] = [5, 6].map((place) => initial(e, kind, place, at, count))
  const outputs: Ref[] = []
  for (let done = 0; done < steps; done++) {
    const place = kind.reverse[at] === true ? steps - 1 - done : done
    states = step(e, each[place] as Ref, states, direction)
    outputs[place] = states[0] as Ref
  }
  return { outputs, final: states }
}

function initial(e: Emission, kind: Recurrent, place: number, at: number, count: number): Ref | undefined {
  if (e.maybe(place) === undefined) return undefined
  const all = e.split('Unpack', count, [e.first(place)], {
    axis: attr.int(kind.batchFirst ? 1 : 0),
    num: attr.int(count),
  })
  return all[at]
}

/** Operators that go along a sequence. */
export const recurrence: Rules = { GRU: recurrent, LSTM: recurrent, RNN: recurrent }
