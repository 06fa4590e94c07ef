import {
  codeOf,
  earlyStoppingSchema,
  elementCount,
  issuesOf,
  type LossConfig,
  lossSchema,
  optimizerSchema,
  quantizationAwareSchema,
  type ResolvedLoss,
  resolveEarlyStopping,
  resolveLoss,
  resolveSchedule,
  type Tensor,
  type TidewayError,
  type TrainData,
  type TrainJob,
  tryPlanNetwork,
} from '@tideway/core'
import { batchIssues } from './batches/job.js'
import { errors } from './errors.js'
import { targetOf } from './graphs/loss.js'
import { type FineTuneOptions, importTrainable } from './imported/index.js'
import { trainableOf } from './layers/index.js'
import type { Trainable } from './trainable.js'

/** What a job trains, and what is to be said of it. */
export interface Subject {
  readonly network: Trainable
  readonly notes: readonly string[]
}

/**
 * What a job trains: its network, or its base model with the file's bytes. Checks the job before any training graph is
 * built; throws `TRAIN_CONFIG_INVALID` naming every bad field, and what `importTrainable` throws for a file.
 */
export function trainableIn(job: TrainJob, base: Uint8Array | undefined): Subject {
  const { subject, issues } = job.base === undefined ? ofNetwork(job) : ofBase(job, base)
  const optimizer = optimizerSchema.safeParse(job.optimizer)
  if (!optimizer.success) issues.push(...issuesOf(optimizer.error).map((issue) => `optimizer.${issue}`))
  for (const field of ['batchSize', 'epochs'] as const) {
    if (!Number.isSafeInteger(job[field]) || job[field] < 1) issues.push(`${field}: not a whole number from 1 up`)
  }
  if (!Number.isSafeInteger(job.seed)) issues.push('seed: not a whole number')
  const loss = lossSchema.safeParse(job.loss)
  if (!loss.success) issues.push(...issuesOf(loss.error).map((issue) => `loss.${issue}`))
  else if (subject !== undefined) issues.push(...lossIssues(loss.data, subject))
  const stopping = earlyStoppingSchema.optional().safeParse(job.earlyStopping)
  if (!stopping.success) issues.push(...issuesOf(stopping.error).map((issue) => `earlyStopping.${issue}`))
  issues.push(...awareIssues(job))
  if (issues.length > 0 || subject === undefined) throw errors.TRAIN_CONFIG_INVALID({ issues })
  return subject
}

function awareIssues({ quantizationAware, epochs }: TrainJob): string[] {
  if (quantizationAware === undefined) return []
  const aware = quantizationAwareSchema.safeParse(quantizationAware)
  if (!aware.success) return issuesOf(aware.error).map((issue) => `quantizationAware.${issue}`)
  return aware.data.epochs <= epochs ? [] : [`quantizationAware.epochs: ${aware.data.epochs} of a job of ${epochs}`]
}

/** A subject with what losses need to know of how it ends, and where a job says so. */
interface Checked extends Subject {
  readonly end: string
  readonly field: 'network.layers' | 'base'
}

interface Attempt {
  readonly subject?: Checked
  readonly issues: string[]
}

function ofNetwork({ network }: TrainJob): Attempt {
  if (network === undefined) return { issues: ['network: a job has either a network or a base model (base)'] }
  const { plan, issues } = tryPlanNetwork(network)
  if (plan === undefined) return { issues: issues.map((issue) => `network.${issue}`) }
  const last = plan.layers.at(-1)?.layer
  const own = last !== undefined && 'activation' in last ? last.activation : 'linear'
  const end = (typeof own === 'object' ? own.type : own) ?? 'linear'
  return { subject: { network: trainableOf(network), notes: [], end, field: 'network.layers' }, issues: [] }
}

function ofBase(job: TrainJob, bytes: Uint8Array | undefined): Attempt {
  const issues: string[] = []
  if (job.network !== undefined) issues.push('base: a job has either a network or a base model')
  if (bytes === undefined) issues.push('base: the model is missing (`TrainContext.base`)')
  if (bytes === undefined || issues.length > 0) return { issues }
  try {
    const network = importTrainable(bytes, job.base as FineTuneOptions)
    return { subject: { network, notes: network.notes, end: network.lastActivation, field: 'base' }, issues }
  } catch (error) {
    if (codeOf(error) !== 'TRAIN_CONFIG_INVALID') throw error
    const { issues: named } = (error as TidewayError).data as { issues: readonly string[] }
    return { issues: named.map((issue) => `base.${issue}`) }
  }
}

type LossName = ResolvedLoss['type']

/** The activations that a loss takes the output before, beside linear. */
const ENDS: Partial<Record<LossName, string>> = { softmaxCrossEntropy: 'softmax', sigmoidCrossEntropy: 'sigmoid' }

function lossIssues(config: LossConfig, { network, end, field }: Checked): string[] {
  const { input, output, parameters } = network
  const issues: string[] = []
  const loss = resolveLoss(config)
  if (!parameters.some(({ trainable }) => trainable))
    issues.push(`${field}: none has weights, so there is nothing to train`)
  const wanted = ENDS[loss.type]
  if (wanted !== undefined && end !== 'linear' && end !== wanted)
    issues.push(`${field}: ${loss.type} needs ${wanted} (or linear: logits) at the end`)
  const rowOfNumbers = loss.type === 'softmaxCrossEntropy' || loss.type === 'triplet'
  if (rowOfNumbers && output.shape.length !== 1)
    issues.push(`${field}: ${loss.type} needs an output of one axis, not [${output.shape.join(', ')}]`)
  if (
    loss.type === 'softmaxCrossEntropy' &&
    loss.classWeights.length > 0 &&
    loss.classWeights.length !== output.shape[0]
  )
    issues.push(`loss.classWeights: ${loss.classWeights.length} weights for ${output.shape[0]} classes`)
  if (loss.type === 'reconstruction' && output.shape.join() !== input.shape.join())
    issues.push(`${field}: reconstruction needs an output of the input's shape [${input.shape.join(', ')}]`)
  return issues
}

/** Metrics that a job goes by and that no epoch will have: it would wait for them in vain. */
function metricIssues(
  { loss, optimizer, earlyStopping, quantizationAware }: TrainJob,
  validation: TrainData | undefined,
): string[] {
  const classes = resolveLoss(loss).type === 'softmaxCrossEntropy'
  const measured = ['loss', ...(validation === undefined ? [] : ['valLoss', ...(classes ? ['valAccuracy'] : [])])]
  const metricOf = (rate: Parameters<typeof resolveSchedule>[0]): string | undefined => {
    const schedule = resolveSchedule(rate)
    return schedule.type === 'reduceOnPlateau' ? schedule.metric : undefined
  }
  const later = quantizationAware?.learningRate
  const wanted = {
    'earlyStopping.metric': earlyStopping && resolveEarlyStopping(earlyStopping).metric,
    'optimizer.learningRate.metric': metricOf(optimizer.learningRate),
    'quantizationAware.learningRate.metric': later === undefined ? undefined : metricOf(later),
  }
  return Object.entries(wanted).flatMap(([field, metric]) =>
    metric === undefined || measured.includes(metric)
      ? []
      : [`${field}: "${metric}" is not measured here; there is ${measured.join(', ')}`],
  )
}

/** Checks the rows of both parts; throws `TRAIN_DATA_INVALID` naming every bad tensor. */
export function checkData(
  job: TrainJob,
  network: Trainable,
  train: TrainData,
  validation: TrainData | undefined,
): void {
  const issues = dataIssues(job, network, 'train', train)
  const inJob = [...batchIssues(job, network, train), ...metricIssues(job, validation)]
  if (inJob.length > 0) throw errors.TRAIN_CONFIG_INVALID({ issues: inJob })
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
  if (target !== undefined) {
    const meaning = target.dtype === 'int32' ? ' class indices' : ''
    if (targets.dtype !== target.dtype) issues.push(`${part}.targets: ${targets.dtype}, not ${target.dtype}${meaning}`)
    issues.push(...shapeIssues(`${part}.targets`, targets, target.shape))
  }
  if (issues.length > 0) return issues
  if (inputs.dtype === 'float32') issues.push(...finiteIssues(`${part}.inputs`, inputs, network.mayMiss))
  if (target?.dtype === 'float32') issues.push(...finiteIssues(`${part}.targets`, targets as FloatTensor))
  if (target?.dtype === 'int32') issues.push(...classIssues(job, network, part, targets.data as Int32Array))
  return issues
}

function shapeIssues(name: string, { shape, data }: Tensor, row: readonly number[]): string[] {
  if (shape.length !== row.length + 1 || row.some((size, axis) => shape[axis + 1] !== size)) {
    return [`${name}: shape [${shape.join(', ')}], not [rows${row.map((size) => `, ${size}`).join('')}]`]
  }
  return data.length === elementCount(shape) ? [] : [`${name}: ${data.length} values for shape [${shape.join(', ')}]`]
}

type FloatTensor = Tensor & { readonly dtype: 'float32' }

function classIssues({ loss }: TrainJob, { output }: Trainable, part: string, labels: Int32Array): string[] {
  // An embedding's width says nothing of how many classes there are.
  const classes = resolveLoss(loss).type === 'triplet' ? Number.POSITIVE_INFINITY : (output.shape[0] ?? 0)
  const row = labels.findIndex((label) => label < 0 || label >= classes)
  if (row >= 0)
    return [`${part}.targets: row ${row} is not a class from 0${classes < Infinity ? ` to ${classes - 1}` : ' up'}`]
  const single = part === 'train' && labels.every((label) => label === labels[0])
  return single ? [`${part}.targets: every row is of class ${labels[0]}, so there is nothing to tell apart`] : []
}

function finiteIssues(name: string, tensor: FloatTensor, mayMiss: Trainable['mayMiss'] = () => false): string[] {
  const width = tensor.data.length / (tensor.shape[0] ?? 1)
  const at = tensor.data.findIndex(
    (value, place) => !Number.isFinite(value) && !(Number.isNaN(value) && mayMiss(place % width)),
  )
  return at < 0 ? [] : [`${name}: row ${Math.floor(at / width)} holds a value that is not finite`]
}
