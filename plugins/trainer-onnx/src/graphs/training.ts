import type { TrainJob } from '@tideway/core'
import { differentiate, GraphBuilder, int64s, type Model, optimizerStep, type Value } from '@tideway/onnx'
import { elements, type Layout, type Slot } from '../layout.js'
import { optimizerOf } from '../optimizer.js'
import type { ForwardContext, Trainable } from '../trainable.js'
import { addLoss, targetOf } from './loss.js'
import { FEED, LOSS, nextOf, type RowsType, stateOf } from './names.js'
import { multiplications } from './size.js'

/** Random numbers that a step is fed: 0 with probability `rate`, else 1 / (1 - rate). */
export interface Mask {
  readonly name: string
  readonly rate: number
  readonly shape: readonly number[]
}

/** One training step as a model, and what it takes and gives. */
export interface TrainingStep {
  readonly model: Model
  /** Tensors that a step takes and changes: input name to output name. */
  readonly carried: ReadonlyMap<string, string>
  /** Statistics that a step takes and leaves as they are. */
  readonly kept: ReadonlySet<string>
  readonly masks: readonly Mask[]
  readonly multiplications: number
}

/** Values of parameters that are not trained, which are stored in the step. */
export type Frozen = (name: string) => Float32Array

/**
 * One training step: forward, loss, backward and optimizer; what it changes goes in and comes out new. A step of fewer
 * rows, at the end of an epoch, is another graph: with sizes known ONNX Runtime plans its memory beforehand.
 */
export function trainingGraph(
  job: Pick<TrainJob, 'loss' | 'optimizer'>,
  network: Trainable,
  layout: Layout,
  rowsType: RowsType,
  batch: number,
  frozen: Frozen,
): TrainingStep {
  const g = new GraphBuilder('training_step')
  const { slots, states } = layout
  const wholes = slots.map(({ name, shape }) => g.input(name, 'float32', shape))
  const stateInputs = slots.map(({ name, shape }) =>
    Object.fromEntries(states.map((state) => [state, g.input(stateOf(name, state), 'float32', shape)])),
  )
  const parts = slots.map((slot, at) => unpack(g, slot, wholes[at] as Value))
  const context = new TrainingContext(
    g,
    network,
    frozen,
    new Map(slots.flatMap(({ members }, at) => members.map(({ name }, place) => [name, parts[at]?.[place] as Value]))),
  )
  const rows = rowsInput(g, rowsType, [batch, ...network.input.shape])
  const forward = network.forward(g, rows, context, 'prediction')
  const target = targetOf(job.loss, network)
  const targets = g.input(FEED.targets, target.dtype, [batch, ...target.shape])
  const data = addLoss(g, job.loss, forward, targets)
  const loss = context.penalties.reduce((sum, penalty) => g.op('Add', [sum, penalty]), data)
  const gradients = differentiate(g, loss, parts.flat())
  const learningRate = g.input(FEED.learningRate, 'float32', [])
  const stepNumber = g.input(FEED.step, 'int64', [])
  const all = slots.map((slot, at) => ({
    name: slot.name,
    parameter: wholes[at] as Value,
    gradient: pack(g, slot, gradients.splice(0, slot.members.length)),
    state: stateInputs[at] ?? {},
    decays: slot.members[0]?.decays ?? true,
  }))
  g.output(LOSS, data)
  for (const next of optimizerStep(g, optimizerOf(job.optimizer), learningRate, stepNumber, all)) {
    g.output(next.parameter.name, next.parameter)
    for (const state of Object.values(next.state)) g.output(state.name, state)
  }
  for (const [name, value] of context.updates) g.output(nextOf(name), value)
  const changed = [
    ...slots.flatMap(({ name }) => ['', ...states].map((state) => stateOf(name, state))),
    ...context.updates.keys(),
  ]
  return {
    model: g.build(),
    carried: new Map(changed.map((name) => [name, nextOf(name)])),
    kept: new Set([...context.statistics.keys()].filter((name) => !context.updates.has(name))),
    masks: context.masks,
    multiplications: multiplications(g.nodes),
  }
}

/** The rows as float32: bytes are widened in the graph. */
export function rowsInput(g: GraphBuilder, type: RowsType, shape: readonly (number | null)[]): Value {
  const raw = g.input(FEED.rows, type, shape)
  return type === 'float32' ? raw : g.op('Cast', [raw], { to: 1n })
}

class TrainingContext implements ForwardContext {
  readonly training = true
  readonly statistics = new Map<string, Value>()
  readonly updates = new Map<string, Value>()
  readonly masks: Mask[] = []
  readonly penalties: Value[] = []
  private readonly shapes: ReadonlyMap<string, readonly number[]>

  constructor(
    private readonly g: GraphBuilder,
    network: Trainable,
    private readonly frozen: Frozen,
    private readonly trained: Map<string, Value>,
  ) {
    this.shapes = new Map([...network.parameters, ...network.statistics].map(({ name, shape }) => [name, shape]))
  }

  parameter(name: string): Value {
    const known = this.trained.get(name)
    if (known !== undefined) return known
    const stored = this.g.initializer(name, {
      dtype: 'float32',
      shape: this.shapes.get(name) ?? [],
      data: this.frozen(name),
    })
    this.trained.set(name, stored)
    return stored
  }

  statistic(name: string): Value {
    const known = this.statistics.get(name)
    if (known !== undefined) return known
    const value = this.g.input(name, 'float32', this.shapes.get(name) ?? [])
    this.statistics.set(name, value)
    return value
  }

  update(statistic: string, next: Value): void {
    this.updates.set(statistic, next)
  }

  mask(name: string, rate: number, shape: Value['shape']): Value {
    const sizes = shape.map(Number)
    const input = this.g.input(`mask/${name}`, 'float32', sizes)
    this.masks.push({ name: input.name, rate, shape: sizes })
    return input
  }

  penalty(value: Value): void {
    this.penalties.push(value)
  }
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
