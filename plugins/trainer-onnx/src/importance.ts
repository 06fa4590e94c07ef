import type { LossConfig, TrainData } from '@tideway/core'
import { differentiate, GraphBuilder, importModel, type Value, weightsOf, writeModel } from '@tideway/onnx'
import { addLoss, checkData, type RowsType, rowsInput, safe, type Trainable, trainableIn } from '@tideway/training'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { rowsOf } from './batch.js'

export interface ImportanceOptions {
  readonly loss: LossConfig
  /** Rows whose mean gradient is one sample. */
  readonly batchSize?: number
}

const BATCH_SIZE = 32

/**
 * What a loss would change by, to first order, without each weight of an ONNX model: the mean over batches of
 * |w · dL/dw| (Molchanov et al. 2019, arXiv:1906.10771, in the form of magnitudes), by the weight's name. The model is as
 * it is used: no dropout, normalization by the file's statistics. For `pruneModel(bytes, { by: { importance } })`.
 *
 * Throws what training this model on these rows would throw before the first step.
 *
 * @example
 * const importance = await weightImportance(bytes, train, { loss: 'softmaxCrossEntropy' })
 * const { onnx } = pruneModel(bytes, { ratio: 0.5, by: { importance } })
 */
export async function weightImportance(
  model: Uint8Array,
  train: TrainData,
  { loss, batchSize = BATCH_SIZE }: ImportanceOptions,
): Promise<Record<string, Float32Array>> {
  const optimizer = { type: 'sgd', learningRate: 1 } as const
  const job = { base: {}, loss, optimizer, batchSize, epochs: 1, seed: 0 }
  const { network } = trainableIn(job, model)
  checkData(job, network, train, undefined)
  const session = await InferenceSession.create(importanceGraph(network, loss, train), { logSeverityLevel: 3 })
  const sums = new Map<string, Float32Array>()
  const total = train.inputs.shape[0] ?? 0
  try {
    for (let begin = 0; begin < total; begin += batchSize) {
      const rows = Math.min(batchSize, total - begin)
      const fed = Object.entries(rowsOf(train, begin, rows)).filter(([name]) => session.inputNames.includes(name))
      const out = await session.run(Object.fromEntries(fed) as Record<string, Tensor>)
      for (const { name, shape } of network.parameters) {
        const values = out[`${name}/importance`]?.data as Float32Array
        const sum = sums.get(name) ?? new Float32Array(shape.reduce((product, size) => product * size, 1))
        for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) + (values[at] ?? 0) * (rows / total)
        sums.set(name, sum)
      }
    }
  } finally {
    await session.release()
  }
  // By the file's own names, where training has others.
  return Object.fromEntries(
    weightsOf(importModel(model)).flatMap(({ name }) => {
      const sum = sums.get(safe(name))
      return sum === undefined ? [] : [[name, sum]]
    }),
  )
}

function importanceGraph(network: Trainable, loss: LossConfig, { inputs }: TrainData): Uint8Array {
  const g = new GraphBuilder('importance')
  const rows = rowsInput(g, inputs.dtype as RowsType, [null, ...network.input.shape])
  const specs = [
    ...network.parameters.map((spec) => ({ ...spec, data: spec.initial(() => 0) })),
    ...network.statistics.map((spec) => ({ ...spec, data: spec.initial() })),
  ]
  const values = new Map(
    specs.map(({ name, shape, data }): [string, Value] => [
      name,
      g.initializer(name, { dtype: 'float32', shape, data }),
    ]),
  )
  const take = (name: string): Value => values.get(name) as Value
  const never = (): never => {
    throw new TypeError('only a training step has this')
  }
  const context = { training: false, parameter: take, statistic: take, update: never, mask: never, penalty: never }
  const forward = network.forward(g, rows, context, 'prediction')
  const added = addLoss(g, { loss, network, softTargets: false }, rows, forward, null)
  const weights = network.parameters.map(({ name }) => take(name))
  for (const [at, gradient] of differentiate(g, added.loss, weights).entries()) {
    const weight = weights[at] as Value
    g.output(`${weight.name}/importance`, g.op('Abs', [g.op('Mul', [weight, gradient])]))
  }
  return writeModel(g.build())
}
