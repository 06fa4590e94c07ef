import * as tf from '@tensorflow/tfjs-core'
import { axisOf, type Kernel, type Kernels, type NodeContext } from '../graph/node.js'

type Activation = (x: tf.Tensor) => tf.Tensor

/** What each activation takes its numbers from, and what they are when there are none. */
const ACTIVATIONS: Readonly<
  Record<string, (numbers: { alpha: (otherwise: number) => number; beta: (otherwise: number) => number }) => Activation>
> = {
  sigmoid: () => tf.sigmoid,
  tanh: () => tf.tanh,
  relu: () => tf.relu,
  softsign: () => (x) => tf.div(x, tf.add(tf.abs(x), 1)),
  softplus: () => tf.softplus,
  hardsigmoid: ({ alpha, beta }) => {
    const [slope, shift] = [alpha(0.2), beta(0.5)]
    return (x) => tf.clipByValue(tf.add(tf.mul(x, slope), shift), 0, 1)
  },
  affine: ({ alpha, beta }) => {
    const [slope, shift] = [alpha(1), beta(0)]
    return (x) => tf.add(tf.mul(x, slope), shift)
  },
  leakyrelu: ({ alpha }) => {
    const slope = alpha(0.01)
    return (x) => tf.leakyRelu(x, slope)
  },
  elu: ({ alpha }) => {
    const slope = alpha(1)
    return (x) => tf.where(tf.greater(x, 0), x, tf.mul(tf.expm1(tf.minimum(x, 0)), slope))
  },
}

/** The activations of every direction, in the order of ONNX's attribute; each takes the next numbers, where it has some. */
function activationsOf(c: NodeContext, standard: readonly string[], directions: number): Activation[] {
  const given = c.strings('activations')
  const names = given.length > 0 ? given : Array.from({ length: directions }, () => standard).flat()
  const alphas = [...c.floats('activation_alpha')]
  const betas = [...c.floats('activation_beta')]
  const numbers = {
    alpha: (otherwise: number) => alphas.shift() ?? otherwise,
    beta: (otherwise: number) => betas.shift() ?? otherwise,
  }
  return names.map((name) => {
    const activation = ACTIVATIONS[name.toLowerCase()]
    if (activation === undefined) throw c.invalid(`activation ${name}`)
    return activation(numbers)
  })
}

/** One direction of a cell: what its step makes of the input's products and the states. */
interface Cell {
  readonly gates: number
  readonly standard: readonly string[]
  /** `x`: input times W [batch, gates · hidden], biases added; gives the next states, the hidden one first. */
  step(x: tf.Tensor, states: readonly tf.Tensor[], own: Direction): tf.Tensor[]
}

interface Direction {
  /** R, turned: [hidden, gates · hidden]. */
  readonly recurrent: tf.Tensor2D
  /** Recurrent biases [gates · hidden]. */
  readonly bias: tf.Tensor | undefined
  readonly activations: readonly Activation[]
  readonly hidden: number
  readonly linearBeforeReset: boolean
}

const parts = (x: tf.Tensor, count: number): tf.Tensor[] => tf.split(x, count, -1)
const plus = (x: tf.Tensor, bias: tf.Tensor | undefined): tf.Tensor => (bias === undefined ? x : tf.add(x, bias))

/** Hochreiter and Schmidhuber 1997; blocks i o f c. */
const lstm: Cell = {
  gates: 4,
  standard: ['Sigmoid', 'Tanh', 'Tanh'],
  step(x, [h, cell], { recurrent, bias, activations }) {
    const [f, g, k] = activations as [Activation, Activation, Activation]
    const all = tf.add(x, plus(tf.matMul(h as tf.Tensor2D, recurrent), bias))
    const [i, o, forget, candidate] = parts(all, 4) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
    const next = tf.add(tf.mul(f(forget), cell as tf.Tensor), tf.mul(f(i), g(candidate)))
    return [tf.mul(f(o), k(next)), next]
  },
}

/** Cho et al. 2014; blocks z r h. */
const gru: Cell = {
  gates: 3,
  standard: ['Sigmoid', 'Tanh'],
  step(x, [h], { recurrent, bias, activations, hidden, linearBeforeReset }) {
    const [f, g] = activations as [Activation, Activation]
    const state = h as tf.Tensor2D
    const [xz, xr, xh] = parts(x, 3) as [tf.Tensor, tf.Tensor, tf.Tensor]
    const [rz, rr, rh] = parts(recurrent, 3) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D]
    const [bz, br, bh] = bias === undefined ? [] : parts(tf.reshape(bias, [1, 3 * hidden]), 3)
    const z = f(tf.add(xz, plus(tf.matMul(state, rz), bz)))
    const r = f(tf.add(xr, plus(tf.matMul(state, rr), br)))
    const recalled = linearBeforeReset
      ? tf.mul(r, plus(tf.matMul(state, rh), bh))
      : plus(tf.matMul(tf.mul(r, state) as tf.Tensor2D, rh), bh)
    const candidate = g(tf.add(xh, recalled))
    return [tf.add(tf.mul(tf.sub(1, z), candidate), tf.mul(z, state))]
  },
}

const recurrent =
  (cell: Cell): Kernel =>
  (c) => {
    if (c.maybe(4) !== undefined) throw c.invalid('sequence_lens')
    if (c.maybe(7) !== undefined) throw c.invalid('peephole weights')
    const isBatchFirst = c.int('layout', 0) === 1
    const rows = isBatchFirst ? tf.transpose(c.in(0), [1, 0, 2]) : c.in(0)
    const [steps, batch] = rows.shape as [number, number, number]
    const direction = c.string('direction', 'forward')
    const reverse = direction === 'bidirectional' ? [false, true] : [direction === 'reverse']
    const hidden = c.in(2).shape[2] as number
    const activations = activationsOf(c, cell.standard, reverse.length)
    const each = cell.standard.length
    const states = cell === lstm ? 2 : 1
    const runs = reverse.map((isReverse, at) => {
      const of = (place: number): tf.Tensor | undefined => {
        const all = c.maybe(place)
        return all && tf.squeeze(tf.slice(all, at, 1), [0])
      }
      const biases = of(3)
      const [own, other] = biases === undefined ? [] : parts(biases, 2)
      const first = (place: number): tf.Tensor => {
        const given =
          isBatchFirst && c.maybe(place) !== undefined
            ? tf.squeeze(tf.slice(c.in(place), [0, at], [-1, 1]), [1])
            : of(place)
        return given ?? tf.zeros([batch, hidden])
      }
      return run(cell, rows, isReverse, {
        weights: tf.transpose(of(1) as tf.Tensor2D),
        inputBias: own,
        initial: Array.from({ length: states }, (_, place) => first(5 + place)),
        own: {
          recurrent: tf.transpose(of(2) as tf.Tensor2D),
          bias: other,
          activations: activations.slice(at * each, (at + 1) * each),
          hidden,
          linearBeforeReset: c.int('linear_before_reset', 0) === 1,
        },
      })
    })
    // [steps, directions, batch, hidden], or [batch, steps, directions, hidden].
    const all = tf.stack(
      runs.map(({ outputs }) => outputs),
      isBatchFirst ? 2 : 1,
    )
    const y = isBatchFirst ? tf.transpose(all, [1, 0, 2, 3]) : all
    const last = Array.from({ length: states }, (_, place) =>
      tf.stack(
        runs.map(({ final }) => final[place] as tf.Tensor),
        isBatchFirst ? 1 : 0,
      ),
    )
    if (steps === 0) throw c.invalid('a sequence of no steps')
    return [y, ...last].slice(0, c.node.output.length)
  }

interface RunOrder {
  /** W, turned: [inputs, gates · hidden]. */
  readonly weights: tf.Tensor2D
  readonly inputBias: tf.Tensor | undefined
  readonly initial: readonly tf.Tensor[]
  readonly own: Direction
}

/** One direction over [steps, batch, inputs]: every step's output [steps, batch, hidden], and the last states. */
function run(
  cell: Cell,
  rows: tf.Tensor,
  isReverse: boolean,
  { weights, inputBias, initial, own }: RunOrder,
): { readonly outputs: tf.Tensor; readonly final: readonly tf.Tensor[] } {
  const [steps, batch, width] = rows.shape as [number, number, number]
  // One product for all steps.
  const flat = plus(tf.matMul(tf.reshape(rows, [steps * batch, width]), weights), inputBias)
  const products = tf.unstack(tf.reshape(flat, [steps, batch, cell.gates * own.hidden]))
  const outputs = Array.from<tf.Tensor>({ length: steps })
  let states = initial
  for (let at = 0; at < steps; at++) {
    const place = isReverse ? steps - 1 - at : at
    states = cell.step(products[place] as tf.Tensor, states, own)
    outputs[place] = states[0] as tf.Tensor
  }
  return { outputs: tf.stack(outputs), final: states }
}

/** A loop over sequences: each step's states go into the next one, what it gives is put together. */
const scan: Kernel = (c) => {
  const body = c.body('body')
  const scanned = c.int('num_scan_inputs', 1)
  const kept = c.count - scanned
  const taken = body.input.map(({ name }) => name ?? '')
  const axes = c.ints('scan_input_axes') ?? []
  const sequences = Array.from({ length: scanned }, (_, at) => {
    const x = c.in(kept + at)
    return tf.unstack(x, axisOf(axes[at] ?? 0, x.rank))
  })
  const steps = sequences[0]?.length ?? 0
  const backwards = c.ints('scan_input_directions') ?? []
  const gives = body.output.length - kept
  const given = Array.from({ length: gives }, () => Array.from<tf.Tensor>({ length: steps }))
  const outward = c.ints('scan_output_directions') ?? []
  let states = Array.from({ length: kept }, (_, at) => c.in(at))
  for (let step = 0; step < steps; step++) {
    const slices = sequences.map((all, at) => all[backwards[at] === 1 ? steps - 1 - step : step] as tf.Tensor)
    const feeds = new Map([...states, ...slices].map((tensor, at) => [taken[at] as string, { tensor }]))
    const out = c.runBody(body, feeds)
    states = out.slice(0, kept)
    for (const [at, all] of given.entries())
      all[outward[at] === 1 ? steps - 1 - step : step] = out[kept + at] as tf.Tensor
  }
  const outAxes = c.ints('scan_output_axes') ?? []
  return [...states, ...given.map((all, at) => tf.stack(all, axisOf(outAxes[at] ?? 0, (all[0]?.rank ?? 0) + 1)))]
}

/** Operators that go along a sequence. */
export const recurrence: Kernels = { GRU: recurrent(gru), LSTM: recurrent(lstm), Scan: scan }
