import {
  elementCount,
  issuesOf,
  networkSchema,
  optimizerSchema,
  type Tensor,
  type TrainData,
  type TrainJob,
} from '@tideway/core'
import { errors } from './errors.js'
import { targetOf } from './graphs/loss.js'
import { layerName } from './network.js'
import type { Trainable } from './trainable.js'

/** Checks a job before anything is built; throws `TRAIN_CONFIG_INVALID` naming every bad field. */
export function checkJob(job: TrainJob): void {
  const issues: string[] = []
  const network = networkSchema.safeParse(job.network)
  const optimizer = optimizerSchema.safeParse(job.optimizer)
  if (!network.success) issues.push(...issuesOf(network.error).map((issue) => `network.${issue}`))
  if (!optimizer.success) issues.push(...issuesOf(optimizer.error).map((issue) => `optimizer.${issue}`))
  for (const field of ['batchSize', 'epochs'] as const) {
    if (!Number.isSafeInteger(job[field]) || job[field] < 1) issues.push(`${field}: not a whole number from 1 up`)
  }
  if (!Number.isSafeInteger(job.seed)) issues.push('seed: not a whole number')
  if (job.loss !== 'softmaxCrossEntropy' && job.loss !== 'meanSquaredError')
    issues.push('loss: not softmaxCrossEntropy or meanSquaredError')
  if (network.success) issues.push(...layerIssues(job))
  if (issues.length > 0) throw errors.TRAIN_CONFIG_INVALID({ issues })
}

function layerIssues(job: TrainJob): string[] {
  const { layers, input, output } = job.network
  const issues: string[] = []
  const dense = layers.findIndex((layer) => layer.type === 'dense')
  if (dense < 0) issues.push('network.layers: no dense layer, so nothing to train')
  if (dense >= 0 && input.shape.length !== 1)
    issues.push('network.input.shape: dense layers take rows of one axis, as [784]')
  if (input.name === output.name) issues.push('network.output.name: the same as network.input.name')
  const names = layers.map(layerName)
  for (const [place, layer] of layers.entries()) {
    if (names.indexOf(names[place] as string) !== place)
      issues.push(`network.layers.${place}.name: "${names[place]}" is taken`)
    if (layer.type === 'normalization' && dense >= 0 && place > dense) {
      issues.push(`network.layers.${place}: a normalization behind a dense layer has no fixed statistics`)
    }
  }
  const last = layers.at(-1)
  const activation = last?.type === 'dense' ? (last.activation ?? 'linear') : undefined
  if (job.loss === 'softmaxCrossEntropy' && activation !== 'linear' && activation !== 'softmax') {
    issues.push('network.layers: softmaxCrossEntropy needs a dense layer with softmax (or linear: logits) at the end')
  }
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
