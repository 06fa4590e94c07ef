import { elementCount, resolveOptimizer, type Tensor, type Tensors, type TrainJob } from '@tideway/core'
import { writeModel } from '@tideway/onnx'
import { errors } from './errors.js'
import type { Mask } from './graphs/context.js'
import { nextOf, type RowsType, stateOf } from './graphs/names.js'
import { trainingGraph } from './graphs/training.js'
import { initialValues } from './initial.js'
import { layoutOf } from './layout.js'
import { trainableIn } from './validate.js'

export interface StepOptions {
  /** The ONNX model's bytes, for a job with `base`. */
  readonly base?: Uint8Array
  /** The element type of the rows that it is fed; float32 when left out. */
  readonly rowsType?: RowsType
}

/** Where a trained parameter lies: from element `offset` on in a tensor that the step carries. */
export interface ParameterPlace {
  readonly tensor: string
  readonly offset: number
  readonly shape: readonly number[]
}

/** One training step as a file, for any runtime, and what goes in and comes out. */
export interface WrittenStep {
  /**
   * Takes `rows` [batchSize, ...input] and, where the loss has them, `targets`; `learning_rate` (float32, []) and, where
   * the optimizer counts, `step` (int64, [], from 1 on); `masks`; and what it carries. Gives `loss` (float32, []), the
   * mean over the rows, and what it carries.
   */
  readonly onnx: Uint8Array
  /** Tensors that a step takes and gives anew: an output's name by that of the input it is for in the next step. */
  readonly carried: Readonly<Record<string, string>>
  /** What they are before the first step: the weights that the trainer begins with for this seed, and no state. */
  readonly initial: Tensors
  readonly parameters: Readonly<Record<string, ParameterPlace>>
  /** Statistics of frozen normalizations, which a step takes and leaves as they are. */
  readonly kept: Tensors
  /** Inputs of random numbers, others in each step: 0 with probability `rate`, else 1 / (1 - rate). */
  readonly masks: readonly Mask[]
}

/**
 * Writes the graph that `createOnnxTrainer` runs for a batch of this job (forward pass, loss, gradients and optimizer),
 * in standard operators, so that it can be run step by step elsewhere: in a browser tab, say. `epochs` and the learning
 * rate's schedule are for who feeds it.
 *
 * Throws `TRAIN_CONFIG_INVALID` naming every bad field, those among them that more than one graph is needed for
 * (`optimizer.accumulate`, `quantizationAware`, `distillation`, `balance: weights`), and what `importTrainable` throws.
 *
 * @example
 * const job = { base: { freeze: ['*'], head: { classes: 5 } }, loss: 'softmaxCrossEntropy', optimizer, batchSize: 32, epochs: 1, seed: 1 }
 * const { onnx, carried, initial } = writeTrainingStep(job, { base: await readFile('mobilenet.onnx') })
 */
export function writeTrainingStep(job: TrainJob, { base, rowsType = 'float32' }: StepOptions = {}): WrittenStep {
  const { network } = trainableIn(job, base)
  const optimizer = resolveOptimizer(job.optimizer)
  const apart = {
    'optimizer.accumulate': optimizer.accumulate > 1,
    quantizationAware: job.quantizationAware !== undefined,
    distillation: job.distillation !== undefined,
    balance: job.balance === 'weights',
  }
  const issues = Object.entries(apart).flatMap(([field, is]) =>
    is ? [`${field}: not in a step written as one file`] : [],
  )
  if (issues.length > 0) throw errors.TRAIN_CONFIG_INVALID({ issues })

  const layout = layoutOf(optimizer, network)
  const values = initialValues(network, job.seed)
  const frozen = (name: string): Float32Array => values[name] ?? new Float32Array(0)
  const { model, carried, kept, masks } = trainingGraph(
    { loss: job.loss, optimizer, network, layout, rowsType, softTargets: false, frozen },
    { rows: job.batchSize, before: 0, last: true },
  )

  const initial: Record<string, Tensor> = {}
  const parameters: Record<string, ParameterPlace> = {}
  for (const { name, shape, members } of layout.slots) {
    const data = new Float32Array(elementCount(shape))
    let offset = 0
    for (const member of members) {
      parameters[member.name] = { tensor: name, offset, shape: member.shape }
      data.set(values[member.name] ?? [], offset)
      offset += elementCount(member.shape)
    }
    initial[name] = { dtype: 'float32', shape, data }
    for (const state of layout.states)
      initial[stateOf(name, state)] = { dtype: 'float32', shape, data: new Float32Array(data.length) }
  }
  const statistics = Object.fromEntries(
    network.statistics.map((spec): [string, Tensor] => [
      spec.name,
      { dtype: 'float32', shape: spec.shape, data: spec.initial() },
    ]),
  )
  const only = (names: Iterable<string>, from: Tensors): Tensors =>
    Object.fromEntries([...names].map((name) => [name, from[name] as Tensor]))
  return {
    onnx: writeModel(model),
    carried: Object.fromEntries([...carried.keys()].map((name) => [name, nextOf(name)])),
    initial: only(carried.keys(), { ...initial, ...statistics }),
    parameters,
    kept: only(kept, statistics),
    masks,
  }
}
