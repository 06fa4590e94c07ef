import type { TrainJob } from '@tideway/core'
import {
  differentiate,
  GraphBuilder,
  int64s,
  type Model,
  meanSquaredError,
  optimizerStep,
  softmaxCrossEntropy,
  type Value,
  writeModel,
} from '@tideway/onnx'
import { elements, layoutOf, type Slot } from './layout.js'
import { addForward, type Forward, type Normalization, outputShape, parametersOf } from './network.js'
import { optimizerOf } from './optimizer.js'

export const FEED = { rows: 'rows', targets: 'targets', learningRate: 'learning_rate', step: 'step' } as const
export const LOSS = 'loss'
export const CORRECT = 'correct'

export type RowsType = 'float32' | 'uint8'

export const nextOf = (name: string): string => `${name}_next`

/** One training step as a model: forward, loss, backward and optimizer; parameters and state go in and come out new. */
export function trainingGraph(
  job: TrainJob,
  normalizations: readonly Normalization[],
  rowsType: RowsType,
  batch: number,
): Model {
  const g = new GraphBuilder('training_step')
  const { slots, states } = layoutOf(job)
  const wholes = slots.map(({ name, shape }) => g.input(name, 'float32', shape))
  const stateOf = slots.map(({ name, shape }) =>
    Object.fromEntries(states.map((state) => [state, g.input(`${name}_${state}`, 'float32', shape)])),
  )
  const parts = slots.map((slot, at) => unpack(g, slot, wholes[at] as Value))
  const values = new Map(
    slots.flatMap(({ members }, at) => members.map(({ name }, place) => [name, parts[at]?.[place] as Value])),
  )
  const { loss } = addLoss(g, job, normalizations, rowsType, batch, values)
  const gradients = differentiate(g, loss, parts.flat())
  const learningRate = g.input(FEED.learningRate, 'float32', [])
  const stepNumber = g.input(FEED.step, 'int64', [])
  const all = slots.map((slot, at) => ({
    name: slot.name,
    parameter: wholes[at] as Value,
    gradient: pack(g, slot, gradients.splice(0, slot.members.length)),
    state: stateOf[at] ?? {},
  }))
  g.output(LOSS, loss)
  for (const next of optimizerStep(g, optimizerOf(job.optimizer), learningRate, stepNumber, all)) {
    g.output(next.parameter.name, next.parameter)
    for (const state of Object.values(next.state)) g.output(state.name, state)
  }
  return g.build()
}

/** A slot's parameters, each in its shape. */
function unpack(g: GraphBuilder, { members }: Slot, whole: Value): Value[] {
  if (members.length === 1) return [whole]
  const sizes = g.constant(int64s(members.map(({ shape }) => elements(shape))))
  const flat = g.ops('Split', [whole, sizes], { axis: 0n }, { outputs: members.length })
  return members.map(({ shape }, at) => {
    const part = flat[at] as Value
    return shape.length === 1 ? part : g.op('Reshape', [part, g.constant(int64s(shape))])
  })
}

/** The gradients of a slot's parameters, end to end as the parameters are. */
function pack(g: GraphBuilder, { members }: Slot, gradients: readonly Value[]): Value {
  if (members.length === 1) return gradients[0] as Value
  const flat = gradients.map((value) =>
    value.shape.length === 1 ? value : g.op('Reshape', [value, g.constant(int64s([-1]))]),
  )
  return g.op('Concat', flat, { axis: 0n })
}

/** Loss and, for classes, the number of rows whose most likely class is right; for any number of rows. */
export function evaluationGraph(
  job: TrainJob,
  normalizations: readonly Normalization[],
  rowsType: RowsType,
): Uint8Array {
  const g = new GraphBuilder('evaluation')
  const values = new Map(parametersOf(job.network).map(({ name, shape }) => [name, g.input(name, 'float32', shape)]))
  const { loss, targets, logits } = addLoss(g, job, normalizations, rowsType, null, values)
  g.output(LOSS, loss)
  if (job.loss === 'softmaxCrossEntropy') {
    const guess = g.op('Cast', [g.op('ArgMax', [logits], { axis: 1n, keepdims: 0n })], { to: 6n })
    const right = g.op('Cast', [g.op('Equal', [guess, targets])], { to: 1n })
    g.output(CORRECT, g.op('ReduceSum', [right], { keepdims: 0n }, { name: CORRECT }))
  }
  return writeModel(g.build())
}

/** The network alone, with its weights, as it is shipped: float32 rows in, any number of them. */
export function inferenceModel(
  job: TrainJob,
  normalizations: readonly Normalization[],
  weights: ReadonlyMap<string, Float32Array>,
): Uint8Array {
  const { network } = job
  const g = new GraphBuilder('network')
  const x = g.input(network.input.name, 'float32', [null, ...network.input.shape])
  const shapes = new Map(parametersOf(network).map(({ name, shape }) => [name, shape]))
  const stored = (name: string): Value => {
    const [shape, data] = [shapes.get(name) ?? [], weights.get(name) ?? new Float32Array(0)]
    return g.initializer(name, { dtype: 'float32', shape, data })
  }
  const { output } = addForward(g, network, x, normalizations, stored, network.output.name)
  g.output(network.output.name, output)
  return writeModel(g.build())
}

interface LossParts extends Forward {
  readonly loss: Value
  readonly targets: Value
}

function addLoss(
  g: GraphBuilder,
  job: TrainJob,
  normalizations: readonly Normalization[],
  rowsType: RowsType,
  batch: number | null,
  values: ReadonlyMap<string, Value>,
): LossParts {
  const { network } = job
  const raw = g.input(FEED.rows, rowsType, [batch, ...network.input.shape])
  const rows = rowsType === 'float32' ? raw : g.op('Cast', [raw], { to: 1n })
  const forward = addForward(g, network, rows, normalizations, (name) => values.get(name) as Value, 'prediction')
  const classes = job.loss === 'softmaxCrossEntropy'
  const targets = classes
    ? g.input(FEED.targets, 'int32', [batch])
    : g.input(FEED.targets, 'float32', [batch, ...outputShape(network)])
  const loss = classes ? softmaxCrossEntropy(g, forward.logits, targets) : meanSquaredError(g, forward.output, targets)
  return { ...forward, loss, targets }
}
