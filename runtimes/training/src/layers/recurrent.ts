import type { Activation, PlannedLayer, ResolvedLayer, Shape } from '@tideway/core'
import type { Attributes, Value } from '@tideway/onnx'
import { activationOf } from './activations.js'
import type { LayerContext } from './context.js'
import { initialize } from './initializers.js'
import type { LayerRules, Step, WeightSpec } from './rule.js'

type Cell = ResolvedLayer<'bidirectional'>['layer'] | ResolvedLayer<'lstm'> | ResolvedLayer<'gru'>
type Recurrent = 'lstm' | 'gru' | 'bidirectional'

/** Places of Keras's gates (i, f, c, o; z, r, h) in ONNX's order (i, o, f, c; z, r, h). */
const GATES = { lstm: [0, 3, 1, 2], gru: [0, 1, 2] } as const

/** A matrix [rows, gates * units] of Keras as ONNX's [gates * units, rows], with ONNX's order of gates. */
function turned(cell: Cell, rows: number, values: Float32Array): Float32Array {
  const gates = GATES[cell.type]
  const { units } = cell
  const out = new Float32Array(values.length)
  for (const [to, from] of gates.entries())
    for (let unit = 0; unit < units; unit++)
      for (let row = 0; row < rows; row++)
        out[(to * units + unit) * rows + row] = values[row * gates.length * units + from * units + unit] as number
  return out
}

/** Each bias vector [gates * units] with ONNX's order of gates. */
function reordered(cell: Cell, values: Float32Array): Float32Array {
  const width = GATES[cell.type].length * cell.units
  const out = new Float32Array(values.length)
  for (let at = 0; at < values.length; at += width) out.set(turned(cell, 1, values.subarray(at, at + width)), at)
  return out
}

/** Keras's bias of an lstm has the forget gate at 1: it keeps its state at first (Jozefowicz et al. 2015). */
function initialBias(cell: Cell, shape: Shape, random: () => number): Float32Array {
  const values = initialize(cell.biasInitializer, shape, random)
  if (cell.type === 'lstm' && cell.unitForgetBias) values.fill(1, cell.units, 2 * cell.units)
  return values
}

/** The tensors of one direction, in one direction's shapes. */
function cellWeights(cell: Cell, features: number): WeightSpec[] {
  const width = GATES[cell.type].length * cell.units
  const vectors = cell.type === 'gru' && cell.resetAfter ? 2 : 1
  const biasShape = vectors === 2 ? [2, width] : [width]
  const matrix = (part: string, rows: number, rest: Pick<WeightSpec, 'initializer' | 'regularizer'>): WeightSpec => ({
    part,
    kerasShape: [rows, width],
    shape: [width, rows],
    decays: true,
    toGraph: (values) => turned(cell, rows, values),
    ...rest,
  })
  const { kernelInitializer, kernelRegularizer, recurrentInitializer, recurrentRegularizer } = cell
  return [
    matrix('kernel', features, { initializer: kernelInitializer, regularizer: kernelRegularizer }),
    matrix('recurrent_kernel', cell.units, { initializer: recurrentInitializer, regularizer: recurrentRegularizer }),
    ...(cell.useBias
      ? [
          {
            part: 'bias',
            kerasShape: biasShape,
            shape: [vectors * width],
            initializer: cell.biasInitializer,
            decays: false,
            regularizer: cell.biasRegularizer,
            toGraph: (values: Float32Array) => reordered(cell, values),
            initial: (random: () => number) => reordered(cell, initialBias(cell, biasShape, random)),
          },
        ]
      : []),
  ]
}

/** The tensors of each direction end to end, as ONNX takes them: [directions, ...]. */
function weightsOf(cell: Cell, directions: 1 | 2, { inputShapes }: PlannedLayer): WeightSpec[] {
  return cellWeights(cell, inputShapes[0]?.at(-1) ?? 1).map((spec) => {
    const { kerasShape, initializer, toGraph = (values) => values } = spec
    const one = spec.initial ?? ((random: () => number) => toGraph(initialize(initializer, kerasShape, random)))
    const size = kerasShape.reduce((product, length) => product * length, 1)
    return {
      ...spec,
      kerasShape: directions === 1 ? kerasShape : [2, ...kerasShape],
      shape: [directions, ...spec.shape],
      toGraph: (values) =>
        joined(Array.from({ length: directions }, (_, at) => toGraph(values.subarray(at * size, (at + 1) * size)))),
      initial: (random) => joined(Array.from({ length: directions }, () => one(random))),
    }
  })
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

const NAMES: Readonly<Record<string, string>> = {
  linear: 'Affine',
  relu: 'Relu',
  leakyRelu: 'LeakyRelu',
  elu: 'Elu',
  sigmoid: 'Sigmoid',
  hardSigmoid: 'HardSigmoid',
  tanh: 'Tanh',
  softplus: 'Softplus',
  softsign: 'Softsign',
}

/** The numbers that activations inside of a cell take, as [alpha, beta]: each as many as it has. */
const NUMBERS: Readonly<Record<string, (alpha?: number) => readonly [number, number?]>> = {
  linear: () => [1, 0],
  leakyRelu: (alpha = 0.2) => [alpha],
  elu: (alpha = 1) => [alpha],
  hardSigmoid: (alpha = 1 / 6) => [alpha, 0.5],
}

function activationsOf(cell: Cell, directions: 1 | 2): Attributes {
  const inner: readonly Activation[] =
    cell.type === 'lstm'
      ? [cell.recurrentActivation, cell.activation, cell.activation]
      : [cell.recurrentActivation, cell.activation]
  const all = (directions === 2 ? [...inner, ...inner] : inner).map(activationOf)
  const names = all.map(({ type }) => NAMES[type] ?? type)
  const numbers = all.flatMap(({ type, alpha }) => [NUMBERS[type]?.(alpha) ?? []])
  const [alphas, betas] = [0, 1].map((at) => numbers.flatMap((each) => each[at] ?? [])) as [number[], number[]]
  return {
    activations: names,
    // Activations without numbers skip none: each takes the next ones.
    ...(alphas.length > 0 && { activation_alpha: alphas }),
    ...(betas.length > 0 && { activation_beta: betas }),
  }
}

/** ONNX takes two bias vectors, for inputs and state; where Keras has one, the other is 0. */
function biasValue(c: LayerContext<Recurrent>, cell: Cell): Value | undefined {
  if (!cell.useBias) return undefined
  const bias = c.parameter('bias')
  if (cell.type === 'gru' && cell.resetAfter) return bias
  const width = GATES[cell.type].length * cell.units
  const pads = c.ints([0, 0, 0, width])
  return c.op('biases', 'Pad', [bias, pads, c.scalar(0)], { mode: 'constant' })
}

type Join = 'sum' | 'ave' | 'mul'

/** Rows [batch, steps, features] through one or two directions of a cell (Hochreiter and Schmidhuber 1997, Cho et al. 2014). */
function run(c: LayerContext<Recurrent>, cell: Cell, mergeMode?: 'concat' | Join): Step {
  const directions = mergeMode === undefined ? 1 : 2
  const { value, shape } = c.last()
  const [batch] = value.shape
  const dropped = c.dropped(value, cell.dropout, 'inputs', [batch ?? 1, 1, shape.at(-1) ?? 1])
  const steps = c.op('steps_first', 'Transpose', [dropped], { perm: [1n, 0n, 2n] })
  const inputs = [steps, c.parameter('kernel'), c.parameter('recurrent_kernel'), biasValue(c, cell)]
  const [sequence, state] = c.g.ops(
    cell.type === 'lstm' ? 'LSTM' : 'GRU',
    inputs,
    {
      hidden_size: BigInt(cell.units),
      direction: directions === 2 ? 'bidirectional' : cell.goBackwards ? 'reverse' : 'forward',
      ...activationsOf(cell, directions),
      ...(cell.type === 'gru' ? { linear_before_reset: cell.resetAfter ? 1n : 0n } : {}),
    },
    { name: `${c.layer.name}/${cell.type}`, outputs: 2 },
  ) as [Value, Value]
  return cell.returnSequences ? sequences(c, cell, sequence, mergeMode) : states(c, cell, state, mergeMode)
}

/** The last state, [directions, batch, units], as [batch, width]. */
function states(c: LayerContext<Recurrent>, cell: Cell, state: Value, mode?: 'concat' | Join): Step {
  if (mode === undefined) return c.step('state', 'last', 'Reshape', [state, c.ints([-1, cell.units])])
  const turned = c.op('state', 'Transpose', [state], { perm: [1n, 0n, 2n] })
  if (mode === 'concat') return c.step('joined', 'last', 'Reshape', [turned, c.ints([0, 2 * cell.units])])
  return c.step('joined', 'last', ...merged(c, mode, turned, 1))
}

/** The states of all steps, [steps, directions, batch, units], as [batch, steps, width]. */
function sequences(c: LayerContext<Recurrent>, cell: Cell, states: Value, mode?: 'concat' | Join): Step {
  const turned = c.op('states', 'Transpose', [states], { perm: [2n, 0n, 1n, 3n] })
  const steps = c.shape[0] ?? 1
  if (mode !== undefined && mode !== 'concat') return c.step('joined', 'last', ...merged(c, mode, turned, 2))
  const wide = c.step('joined', 'last', 'Reshape', [turned, c.ints([0, steps, c.shape.at(-1) ?? cell.units])])
  // ONNX gives states of a reversed run in the order of the inputs, Keras in the order of the run.
  if (mode !== undefined || !cell.goBackwards) return wide
  const flat = wide.add(`${c.layer.name}/joined`)
  const back = [c.ints([-1]), c.ints([-steps - 1]), c.ints([1]), c.ints([-1])]
  return c.step('backwards', 'last', 'Slice', [flat, ...back])
}

/** Both directions as one, element by element. */
function merged(
  c: LayerContext<Recurrent>,
  mode: Join,
  value: Value,
  axis: number,
): [opType: string, inputs: Value[], attributes?: Attributes] {
  if (mode === 'ave') return ['ReduceMean', [value], { axes: [BigInt(axis)], keepdims: 0n }]
  if (mode === 'sum') return ['ReduceSum', [value, c.ints([axis])], { keepdims: 0n }]
  const [forward, backward] = [0, 1].map((at) =>
    c.op(`direction_${at}`, 'Squeeze', [
      c.op(`slice_${at}`, 'Slice', [value, c.ints([at]), c.ints([at + 1]), c.ints([axis])]),
      c.ints([axis]),
    ]),
  ) as [Value, Value]
  return ['Mul', [forward, backward]]
}

/** Layers that keep a state from step to step. */
export const recurrentRules: LayerRules<Recurrent> = {
  lstm: {
    parameters: (layer, planned) => weightsOf(layer, 1, planned),
    forward: (c) => run(c as LayerContext<Recurrent>, c.layer),
  },
  gru: {
    parameters: (layer, planned) => weightsOf(layer, 1, planned),
    forward: (c) => run(c as LayerContext<Recurrent>, c.layer),
  },
  bidirectional: {
    parameters: ({ layer }, planned) => weightsOf(layer, 2, planned),
    forward: (c) => run(c as LayerContext<Recurrent>, c.layer.layer, c.layer.mergeMode),
  },
}
