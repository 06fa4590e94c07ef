import {
  earlyStoppingSchema,
  elementCount,
  issuesOf,
  type LossConfig,
  lossSchema,
  type NetworkPlan,
  optimizerSchema,
  type ResolvedLoss,
  resolveLoss,
  type Tensor,
  type TrainData,
  type TrainJob,
  tryPlanNetwork,
} from '@tideway/core'
import { batchIssues } from './batches/job.js'
import { errors } from './errors.js'
import { targetOf } from './graphs/loss.js'
import type { Trainable } from './trainable.js'

/** Checks a job before anything is built; throws `TRAIN_CONFIG_INVALID` naming every bad field. */
export function checkJob(job: TrainJob): void {
  const issues: string[] = []
  const { plan, issues: inNetwork } = tryPlanNetwork(job.network)
  const optimizer = optimizerSchema.safeParse(job.optimizer)
  issues.push(...inNetwork.map((issue) => `network.${issue}`))
  if (!optimizer.success) issues.push(...issuesOf(optimizer.error).map((issue) => `optimizer.${issue}`))
  for (const field of ['batchSize', 'epochs'] as const) {
    if (!Number.isSafeInteger(job[field]) || job[field] < 1) issues.push(`${field}: not a whole number from 1 up`)
  }
  if (!Number.isSafeInteger(job.seed)) issues.push('seed: not a whole number')
  const loss = lossSchema.safeParse(job.loss)
  if (!loss.success) issues.push(...issuesOf(loss.error).map((issue) => `loss.${issue}`))
  else if (plan !== undefined) issues.push(...layerIssues(loss.data, plan))
  const stopping = earlyStoppingSchema.optional().safeParse(job.earlyStopping)
  if (!stopping.success) issues.push(...issuesOf(stopping.error).map((issue) => `earlyStopping.${issue}`))
  if (issues.length > 0) throw errors.TRAIN_CONFIG_INVALID({ issues })
}

type LossName = ResolvedLoss['type']

/** The activations that a loss takes the output before, beside linear. */
const ENDS: Partial<Record<LossName, string>> = { softmaxCrossEntropy: 'softmax', sigmoidCrossEntropy: 'sigmoid' }

function layerIssues(config: LossConfig, { parameters, layers, input, output }: NetworkPlan): string[] {
  const issues: string[] = []
  const loss = resolveLoss(config)
  if (parameters === 0) issues.push('network.layers: none has weights, so there is nothing to train')
  const last = layers.at(-1)?.layer
  const own = last !== undefined && 'activation' in last ? last.activation : 'linear'
  const activation = typeof own === 'object' ? own.type : own
  const end = ENDS[loss.type]
  if (end !== undefined && activation !== 'linear' && activation !== end)
    issues.push(`network.layers: ${loss.type} needs ${end} (or linear: logits) at the end`)
  const rowOfNumbers = loss.type === 'softmaxCrossEntropy' || loss.type === 'triplet'
  if (rowOfNumbers && output.shape.length !== 1)
    issues.push(`network.layers: ${loss.type} needs an output of one axis, not [${output.shape.join(', ')}]`)
  if (
    loss.type === 'softmaxCrossEntropy' &&
    loss.classWeights.length > 0 &&
    loss.classWeights.length !== output.shape[0]
  )
    issues.push(`loss.classWeights: ${loss.classWeights.length} weights for ${output.shape[0]} classes`)
  if (loss.type === 'reconstruction' && output.shape.join() !== input.shape.join())
    issues.push(`network.layers: reconstruction needs an output of the input's shape [${input.shape.join(', ')}]`)
  return issues
}

/** Checks the rows of both parts; throws `TRAIN_DATA_INVALID` naming every bad tensor. */
export function checkData(
  job: TrainJob,
  network: Trainable,
  train: TrainData,
  validation: TrainData | undefined,
): void {
  const issues = dataIssues(job, network, 'train', train)
  const inBatches = batchIssues(job, network, train)
  if (inBatches.length > 0) throw errors.TRAIN_CONFIG_INVALID({ issues: inBatches })
  if (validation !== undefined) {
    issues.push(...dataIssues(job, network, 'validation', validation))
    if (validation.inputs.dtype !== train.inputs.dtype)
      issues.push(`validation.inputs: ${validation.inputs.dtype}, but train.inputs are ${train.inputs.dtype}`)
  }
  if (issues.length > 0) throw errors.TRAIN_DATA_INVALID({ issues })
}

function dataIssues(job: TrainJob, network: Trainable, part: string, { inputs, targets }: TrainData): string[] {
  const issues: string[] = []
  const rows = inputs.shape[0] ?? 0
  if (rows < 1) issues.push(`${part}.inputs: no rows`)
  if (targets.shape[0] !== inputs.shape[0])
    issues.push(`${part}.targets: ${targets.shape[0] ?? 0} rows, but ${rows} inputs`)
  if (inputs.dtype !== 'float32' && inputs.dtype !== 'uint8')
    issues.push(`${part}.inputs: ${inputs.dtype}, not float32 or uint8`)
  issues.push(...shapeIssues(`${part}.inputs`, inputs, network.input.shape))
  const target = targetOf(job.loss, network)
  if (target === undefined) return issues
  const meaning = target.dtype === 'int32' ? ' class indices' : ''
  if (targets.dtype !== target.dtype) issues.push(`${part}.targets: ${targets.dtype}, not ${target.dtype}${meaning}`)
  issues.push(...shapeIssues(`${part}.targets`, targets, target.shape))
  if (issues.length === 0) issues.push(...valueIssues(network, part, inputs, targets))
  return issues
}

function shapeIssues(name: string, { shape, data }: Tensor, row: readonly number[]): string[] {
  if (shape.length !== row.length + 1 || row.some((size, axis) => shape[axis + 1] !== size)) {
    return [`${name}: shape [${shape.join(', ')}], not [rows${row.map((size) => `, ${size}`).join('')}]`]
  }
  return data.length === elementCount(shape) ? [] : [`${name}: ${data.length} values for shape [${shape.join(', ')}]`]
}

function valueIssues(network: Trainable, part: string, inputs: Tensor, targets: Tensor): string[] {
  const issues: string[] = []
  if (inputs.dtype === 'float32') issues.push(...finiteIssues(`${part}.inputs`, inputs))
  if (targets.dtype === 'float32') issues.push(...finiteIssues(`${part}.targets`, targets))
  if (targets.dtype === 'int32') {
    const classes = network.output.shape[0] ?? 0
    const row = targets.data.findIndex((value) => value < 0 || value >= classes)
    if (row >= 0) issues.push(`${part}.targets: row ${row} is not a class from 0 to ${classes - 1}`)
  }
  return issues
}

function finiteIssues(name: string, tensor: Tensor & { readonly dtype: 'float32' }): string[] {
  const at = tensor.data.findIndex((value) => !Number.isFinite(value))
  if (at < 0) return []
  return [
    `${name}: row ${Math.floor(at / (tensor.data.length / (tensor.shape[0] ?? 1)))} holds a value that is not finite`,
  ]
}
