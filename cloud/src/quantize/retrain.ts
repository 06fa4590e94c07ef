import type { LossConfig, QuantizationAware, Runtime, Tensor, TrainData, TrainedModel } from '@tideway/core'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { importTrainable } from '@tideway/training'
import { cloudErrors } from '../errors.js'
import { argmax } from '../pipeline/evaluate.js'
import { answersOf, rowCount } from './batches.js'
import type { Rows } from './rows.js'

/** Rows to train on, and how. */
export interface Lessons {
  readonly rows: Rows
  readonly epochs: number
  /** The highest; it falls to 0 by half a cosine. */
  readonly learningRate: number
  readonly seed: number
}

interface RetrainOrder extends Lessons {
  /** The float model whose answers count beside the labels, and alone where there are none. */
  readonly teacher: Uint8Array
  readonly runtime: Runtime
  readonly aware?: QuantizationAware
}

const BATCH_ROWS = 64

/**
 * Trains a float model further on labels and on another model's answers (Hinton, Vinyals and Dean 2015,
 * arXiv:1503.02531); with `aware` its last epochs are rounded as int8 will round them. Throws `DATA_INVALID` for a model of
 * several inputs, and what the trainer throws.
 */
export async function retrain(onnx: Uint8Array, order: RetrainOrder): Promise<TrainedModel> {
  const { rows, epochs, learningRate, seed, teacher, aware } = order
  const input = onlyInput(rows)
  const { loss, targets } = await taskOf(rows, teacher, order.runtime)
  const rate = { type: 'cosine', maximum: learningRate } as const
  return createOnnxTrainer().fit(
    {
      base: {},
      loss,
      optimizer: { type: 'adam', learningRate: rate },
      batchSize: Math.min(BATCH_ROWS, rowCount(rows.inputs)),
      epochs,
      seed,
      distillation: rows.targets === undefined ? { weight: 1 } : {},
      ...(aware && { quantizationAware: { learningRate: rate, ...aware } }),
    },
    { train: { inputs: input, targets }, base: onnx, teacher },
  )
}

/** What a model is trained for. */
export interface Task {
  readonly loss: LossConfig
  readonly targets: TrainData['targets']
}

/** The loss that fits a model's end, against labels, or against its own answers where there are none. */
export async function taskOf({ inputs, targets }: Rows, model: Uint8Array, runtime: Runtime): Promise<Task> {
  const { lastActivation } = importTrainable(model)
  if (targets !== undefined) return against(targets, lastActivation)
  const session = await runtime.load(model)
  try {
    const [answer] = await answersOf(session, inputs)
    const [count, width, data] = [rowCount(inputs), answer?.width ?? 0, answer?.data ?? new Float64Array(0)]
    if (lastActivation !== 'softmax')
      return against({ dtype: 'float32', shape: [count, width], data: Float32Array.from(data) }, lastActivation)
    const classes = Int32Array.from({ length: count }, (_, row) => argmax(data, row * width, width))
    return against({ dtype: 'int32', shape: [count], data: classes }, lastActivation)
  } finally {
    await session.dispose()
  }
}

function against(targets: Tensor, lastActivation: string): Task {
  if (targets.dtype === 'int32') return { loss: 'softmaxCrossEntropy', targets }
  return { loss: lastActivation === 'sigmoid' ? 'sigmoidCrossEntropy' : 'meanSquaredError', targets }
}

/** A model's only input. Throws `DATA_INVALID` where it has several. */
export function onlyInput({ inputs }: Rows): Tensor {
  const [input, ...others] = Object.values(inputs)
  if (input === undefined || others.length > 0)
    throw cloudErrors.DATA_INVALID({
      issues: ['a model of several inputs cannot be trained, nor its channels weighed'],
    })
  return input
}
