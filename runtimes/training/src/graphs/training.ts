import { type LossConfig, type ResolvedOptimizer } from '@tideway/core'
import {
  ACCUMULATED,
  accumulateGradients,
  type Clipped,
  differentiate,
  floats,
  GraphBuilder,
  type Model,
  optimizerStep,
  type Value,
} from '@tideway/onnx'
import { addTeacher, type Teacher } from '../distill/teacher.js'
import type { Layout } from '../layout.js'
import type { Forward, Trainable } from '../trainable.js'
import { type Frozen, type Mask, TrainingContext } from './context.js'
import { type Factors, factorsOf } from './factors.js'
import { addLoss } from './loss.js'
import { FEED, factorOf, LOSS, nextOf, type RowsType, SCALE, stateOf } from './names.js'
import { multiplications } from './size.js'
import { clipSlots, pack, unpack } from './slots.js'

/** What one training step is a graph of. */
export interface StepOrder {
  readonly loss: LossConfig
  readonly optimizer: ResolvedOptimizer
  readonly network: Trainable
  readonly layout: Layout
  readonly rowsType: RowsType
  /** Whether classes come as shares, float32 [batch, classes], as mixed rows have them. */
  readonly softTargets: boolean
  readonly frozen: Frozen
  /** Whose outputs the loss is in part against. */
  readonly teacher?: Teacher | undefined
  /** Channels in a block of the engine's convolutions on blocks; left out: standard operators only. */
  readonly block?: number | undefined
  /** Operators that the engine has no kernel for (see `GraphOptions`), and `float64`. */
  readonly without?: ReadonlySet<string> | undefined
}

/** A batch's place in a step: batches before it whose gradients it takes, and whether the step is taken behind it. */
export interface StepPart {
  readonly rows: number
  readonly before: number
  readonly last: boolean
  /**
   * Whether the optimizer is a graph of its own (see `updateGraph`): the last batch's ends with clipped gradients, or
   * with the factors of those that are products.
   */
  readonly apart?: boolean
}

/** The graph of one batch, and what it takes and gives. */
export interface TrainingStep {
  readonly model: Model
  /** What an engine without float64 has to be fed beside: of the learning rate and the step's number, under the inputs' names. */
  readonly scalars?: Model
  /** Tensors that it takes and changes: input name to output name. */
  readonly carried: ReadonlyMap<string, string>
  /** Slots whose gradients it gives as factors. */
  readonly factored: ReadonlySet<string>
  /** Whether it gives what its gradients are still to be multiplied by. */
  readonly scaled: boolean
  /** Statistics that it takes and leaves as they are. */
  readonly kept: ReadonlySet<string>
  readonly masks: readonly Mask[]
  readonly multiplications: number
}

/**
 * One batch: forward, loss and backward, and behind the last batch of a step the optimizer; what it changes goes in and
 * comes out new. A batch of fewer rows, at the end of an epoch, is another graph: with sizes known ONNX Runtime plans
 * its memory beforehand.
 */
export function trainingGraph(order: StepOrder, { rows: batch, before, last, apart = false }: StepPart): TrainingStep {
  const { network, layout, optimizer } = order
  const { slots, states } = layout
  const g = new GraphBuilder('training_step', { block: order.block, without: order.without })
  const scalars = order.without?.has('float64') ? new GraphBuilder('step_scalars') : undefined
  const wholes = slots.map(({ name, shape }) => g.input(name, 'float32', shape))
  const parts = slots.map((slot, at) => unpack(g, slot, wholes[at] as Value))
  const trained = slots.flatMap(({ members }, at) =>
    members.map(({ name }, place): [string, Value] => [name, parts[at]?.[place] as Value]),
  )
  const context = new TrainingContext(g, network, new Map(trained), order.frozen)
  const rows = rowsInput(g, order.rowsType, [batch, ...network.input.shape])
  const forward = network.forward(g, rows, context, 'prediction')
  const { loss: own } = addLoss(g, order, rows, forward, batch)
  const data = order.teacher === undefined ? own : mixed(g, order.teacher, own, rows, forward, order.loss)
  const loss = context.penalties.reduce((sum, penalty) => g.op('Add', [sum, penalty]), data)
  const gradients = differentiate(g, loss, parts.flat())
  const packed = slots.map((slot) => pack(g, slot, gradients.splice(0, slot.members.length)))
  g.output(LOSS, data)
  for (const [name, value] of context.updates) g.output(nextOf(name), value)
  const names = slots.map(({ name }) => name)
  const sums = before === 0 ? undefined : accumulatedInputs(g, layout)
  const changed = [...context.updates.keys()]
  // A gradient that is clipped or added to is needed as a whole.
  const whole = !apart || !last || before > 0 || optimizer.clipping !== undefined
  const factored = new Map<string, Factors>()
  let scale: Value | undefined
  const clipped = (): Clipped => {
    const summed =
      sums === undefined ? packed : packed.map((gradient, at) => g.op('Add', [sums[at] as Value, gradient]))
    return clipSlots(g, slots, summed, optimizer.clipping, before + 1)
  }
  if (last && !apart) {
    const { gradients: final, scale: left } = clipped()
    const all = slots.map((slot, at) => ({
      name: slot.name,
      parameter: wholes[at] as Value,
      gradient: final[at] as Value,
      state: Object.fromEntries(
        states.map((state) => [state, g.input(stateOf(slot.name, state), 'float32', slot.shape)]),
      ),
      decays: slot.members[0]?.decays ?? true,
    }))
    const rate = g.input(FEED.learningRate, 'float32', [])
    const number = g.input(FEED.step, 'int64', [])
    const options = { scale: left, summed: before + 1, scalars }
    for (const next of optimizerStep(g, optimizer.step, rate, number, all, options)) {
      g.output(next.parameter.name, next.parameter)
      for (const state of Object.values(next.state)) g.output(state.name, state)
    }
    changed.push(...names.flatMap((name) => ['', ...states].map((state) => stateOf(name, state))))
  } else {
    const given: Clipped = last ? clipped() : { gradients: accumulateGradients(g, names, packed, sums) }
    for (const [at, gradient] of given.gradients.entries()) {
      const name = names[at] as string
      const factors = whole ? undefined : factorsOf(g.nodes, gradient)
      if (factors === undefined) {
        g.output(nextOf(stateOf(name, ACCUMULATED)), gradient)
        changed.push(stateOf(name, ACCUMULATED))
      } else {
        factored.set(name, factors)
      }
    }
    scale = given.scale
    if (scale !== undefined) g.output(SCALE, scale)
    for (const [name, { left, right }] of factored) {
      g.output(factorOf(name, 'left'), left)
      g.output(factorOf(name, 'right'), right)
    }
  }
  const apartScalars = scalars?.build()
  return {
    model: g.build(),
    ...(apartScalars?.graph?.output.length && { scalars: apartScalars }),
    carried: new Map(changed.map((name) => [name, nextOf(name)])),
    factored: new Set(factored.keys()),
    scaled: scale !== undefined,
    kept: new Set([...context.statistics.keys()].filter((name) => !context.updates.has(name))),
    masks: context.masks,
    multiplications: multiplications(g.nodes),
  }
}

/** The loss against targets and teacher, each with its share. */
function mixed(g: GraphBuilder, teacher: Teacher, own: Value, rows: Value, forward: Forward, loss: LossConfig): Value {
  const share = (value: Value, weight: number): Value => g.op('Mul', [value, g.constant(floats('float32', [weight]))])
  const against = addTeacher(g, teacher, rows, forward, loss)
  return g.op('Add', [share(own, 1 - teacher.weight), share(against, teacher.weight)])
}

const accumulatedInputs = (g: GraphBuilder, { slots }: Layout): Value[] =>
  slots.map(({ name, shape }) => g.input(stateOf(name, ACCUMULATED), 'float32', shape))

/** The rows as float32: bytes are widened in the graph. */
export function rowsInput(g: GraphBuilder, type: RowsType, shape: readonly (number | null)[]): Value {
  const raw = g.input(FEED.rows, type, shape)
  return type === 'float32' ? raw : g.op('Cast', [raw], { to: 1n })
}
