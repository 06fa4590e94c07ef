import { type LossConfig, resolveLoss, type TrainData, type TrainJob } from '@tideway/core'
import { targetOf } from '../graphs/loss.js'
import type { Trainable } from '../trainable.js'
import { augmentIssues } from './check.js'
import type { FeederOptions } from './feeder.js'
import { type Geometry, geometryOf } from './geometry.js'
import { classWeights } from './order.js'

type Network = Pick<Trainable, 'input' | 'output'>

/** How many classes the targets are indices of; undefined where they are values. */
const classesOf = ({ loss }: TrainJob, network: Network): number | undefined =>
  targetOf(loss, network)?.dtype === 'int32' ? network.output.shape[0] : undefined

const geometryIn = ({ image }: TrainJob, { input }: Network): Geometry | undefined => geometryOf(input.shape, image)

/** What a job's batches are made from. */
export function feederOptions(job: TrainJob, network: Network, train: TrainData, stepsARun: number): FeederOptions {
  const { batchSize, seed, augment, balance } = job
  return {
    train,
    batchSize,
    stepsARun,
    seed,
    ...(augment && { augment }),
    ...(balance && { balance }),
    geometry: geometryIn(job, network),
    classes: classesOf(job, network),
  }
}

/** What is wrong with a job's augmentation and balance for its data: `field: what is wrong`. */
export function batchIssues(job: TrainJob, network: Network, { inputs }: TrainData): string[] {
  const { augment, balance } = job
  const classes = classesOf(job, network)
  const issues = augmentIssues({ augment, balance, geometry: geometryIn(job, network), inputs: inputs.dtype, classes })
  const loss = resolveLoss(job.loss).type
  const mixes = augment?.some(({ type }) => type === 'mixup') === true
  if (mixes && classes !== undefined && loss !== 'softmaxCrossEntropy')
    issues.push(`augment: mixup makes shares of classes, which ${loss} does not take`)
  if (balance === 'weights' && loss !== 'softmaxCrossEntropy')
    issues.push(`balance: weights are for softmaxCrossEntropy, not ${loss}; oversample is for any`)
  return issues
}

/** The loss with the weights of unequal classes, where the job wants them. */
export function balancedLoss(job: TrainJob, { output }: Network, { targets }: TrainData): LossConfig {
  const loss = resolveLoss(job.loss)
  if (job.balance !== 'weights' || loss.type !== 'softmaxCrossEntropy') return job.loss
  const weights = classWeights(targets.data as Int32Array, output.shape[0] ?? 0)
  const given = loss.classWeights
  return { ...loss, classWeights: Array.from(weights, (weight, at) => weight * (given[at] ?? 1)) }
}
