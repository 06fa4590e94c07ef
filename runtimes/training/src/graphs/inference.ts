import type { TrainJob } from '@tideway/core'
import { GraphBuilder, type GraphOptions, graphOf, type Value, writeModel } from '@tideway/onnx'
import type { ForwardContext, Trainable } from '../trainable.js'
import { addCorrect, addLoss } from './loss.js'
import { CORRECT, LOSS, nextOf, type RowsType } from './names.js'
import { rowsInput } from './training.js'

/** Gives every parameter and statistic of a network by its name, in its shape. */
type Give = (name: string, shape: readonly number[]) => Value

/** The context of a network as it is used: no batch statistics, no dropout. */
function using(network: Trainable, give: Give): ForwardContext {
  const shapes = new Map([...network.parameters, ...network.statistics].map(({ name, shape }) => [name, shape]))
  const given = new Map<string, Value>()
  const take = (name: string): Value => {
    const value = given.get(name) ?? give(name, shapes.get(name) ?? [])
    given.set(name, value)
    return value
  }
  const never = (): never => {
    throw new TypeError('only a training step has this')
  }
  return { training: false, parameter: take, statistic: take, update: never, mask: never, penalty: never }
}

/** Loss and, for classes, the number of rows whose most likely class is right; for any number of rows. */
export function evaluationGraph(
  { loss: config, without }: Pick<TrainJob, 'loss'> & GraphOptions,
  network: Trainable,
  rowsType: RowsType,
): Uint8Array {
  const g = new GraphBuilder('evaluation', { without })
  const context = using(network, (name, shape) => g.input(name, 'float32', shape))
  const rows = rowsInput(g, rowsType, [null, ...network.input.shape])
  const forward = network.forward(g, rows, context, 'prediction')
  const { loss, targets } = addLoss(g, { loss: config, network, softTargets: false }, rows, forward, null)
  g.output(LOSS, loss)
  const correct = addCorrect(g, config, forward, targets, CORRECT)
  if (correct !== undefined) g.output(CORRECT, correct)
  return writeModel(g.build())
}

/** What a batch's statistics are, of those that a network has estimated; for any number of rows. */
export function estimationGraph(network: Trainable, rowsType: RowsType, { without }: GraphOptions = {}): Uint8Array {
  const g = new GraphBuilder('estimation', { without })
  const used = using(network, (name, shape) => g.input(name, 'float32', shape))
  const wanted = new Set(network.estimated)
  const update = (name: string, value: Value): void => {
    if (wanted.has(name)) g.output(nextOf(name), value)
  }
  const rows = rowsInput(g, rowsType, [null, ...network.input.shape])
  network.forward(g, rows, { ...used, training: true, estimating: true, update }, 'prediction')
  return writeModel(g.build())
}

/** Float32 values, or their bytes wherever they lie. */
export type Stored = Float32Array | Uint8Array

/** The network alone, with its weights, as it is shipped: float32 rows in, any number of them. */
export function inferenceModel(network: Trainable, weights: Readonly<Record<string, Stored>>): Uint8Array {
  const g = new GraphBuilder('network')
  const x = g.input(network.input.name, 'float32', [null, ...network.input.shape])
  const context = using(network, (name, shape) =>
    // What a graph is does not depend on its weights.
    g.initializer(name, { dtype: 'float32', shape, data: new Float32Array(0) }),
  )
  const { output } = network.forward(g, x, context, network.output.name)
  g.output(network.output.name, output)
  const model = g.build()
  for (const tensor of graphOf(model).initializer) {
    const { buffer, byteOffset, byteLength } = weights[tensor.name ?? ''] ?? tensor.rawData ?? new Uint8Array(0)
    tensor.rawData = new Uint8Array(buffer, byteOffset, byteLength)
  }
  return writeModel(model)
}
