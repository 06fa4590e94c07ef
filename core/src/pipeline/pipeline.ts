import { errors } from '../errors.js'
import type { NetworkConfig } from '../network/schema.js'
import { narrow } from '../wire/parse.js'
import type { Augment, Balance } from './augment.js'
import type { QuantizationAware } from './aware.js'
import type { Dataset } from './dataset.js'
import type { Teacher } from './distill.js'
import type { BaseModel } from './finetune.js'
import { type Gates, type JobSpec, jobSpecSchema } from './job.js'
import { precisionOf, type Recipe, type Scheme } from './recipe.js'
import type { EarlyStoppingConfig, LossConfig, OptimizerConfig } from './training.js'

/** The user's form: what is left out comes from `pipelineDefaults`. */
export interface PipelineConfig {
  /** Id of the model that this pipeline makes versions of. */
  readonly model: string
  /** Loads the data; `path` is what `tideway train --data` was given. */
  readonly data: (options: { readonly path?: string }) => Promise<Dataset> | Dataset
  /** What is trained: a network from random weights, or an ONNX model further; exactly one of the two. */
  readonly network?: NetworkConfig
  readonly base?: BaseModel
  readonly loss?: LossConfig
  readonly optimizer?: OptimizerConfig
  readonly batchSize?: number
  readonly epochs?: number
  readonly seed?: number
  readonly earlyStopping?: EarlyStoppingConfig
  readonly quantizationAware?: QuantizationAware
  /** A model whose outputs the network is trained on, beside the targets. */
  readonly distillation?: Teacher
  readonly augment?: Augment
  readonly balance?: Balance
  /** Rows (whole numbers) or shares (below 1) of the data. */
  readonly split?: {
    readonly train?: number
    readonly validation?: number
    readonly test?: number
    readonly by?: 'shuffle' | 'order'
  }
  readonly gates?: Gates
  readonly precision?: JobSpec['precision']
  /** How the trained model is made smaller: a scheme's name, or one with settings. It implies the precision. */
  readonly recipe?: Scheme | Recipe
  /**
   * What devices may run a version as: `['onnx']` when left out. With `tfjs` in it a version also has the float model as a
   * Graph model of TensorFlow.js, for devices that have that engine and no ONNX Runtime.
   */
  readonly formats?: readonly Format[]
  readonly aliases?: readonly string[]
}

/** A format of variants. */
export type Format = NonNullable<JobSpec['formats']>[number]

export const pipelineDefaults = Object.freeze({
  loss: 'softmaxCrossEntropy',
  optimizer: Object.freeze({ type: 'adam', learningRate: 0.001 }),
  batchSize: 64,
  epochs: 10,
  seed: 1,
  split: Object.freeze({ train: 0.7, validation: 0.1, test: 0.2, by: 'shuffle' }),
  gates: Object.freeze({ maxAccuracyLoss: 0.01, maxExplainedLoss: 0.01 }),
  precision: 'int8',
  formats: Object.freeze(['onnx']),
  aliases: Object.freeze(['latest']),
} as const)

/** Gives a pipeline file its types. */
export function definePipeline(config: PipelineConfig): PipelineConfig {
  return config
}

/** What is only known once the data was loaded and uploaded, or chosen on the command line. */
export interface PipelineRun {
  readonly dataset: Dataset
  readonly data: { readonly sha256: string; readonly size: number }
  /** The base model's blob, for a pipeline with one. */
  readonly base?: { readonly sha256: string; readonly size: number }
  /** The teacher's blob, for a pipeline with `distillation`. */
  readonly teacher?: { readonly sha256: string; readonly size: number }
  readonly seed?: number
  readonly epochs?: number
  readonly from?: JobSpec['from']
  /** The parent's, for a version that is trained further. */
  readonly splitSeed?: number
}

/** The resolved form: a job. Throws `INPUT_REJECTED` naming every bad field. */
export function resolvePipeline(config: PipelineConfig, run: PipelineRun): JobSpec {
  const { dataset } = run
  const seed = run.seed ?? config.seed ?? pipelineDefaults.seed
  const rows = dataset.inputs.shape[0] ?? 0
  const split = { ...pipelineDefaults.split, ...config.split }
  const formats = config.formats ?? pipelineDefaults.formats
  const recipe = typeof config.recipe === 'string' ? { scheme: config.recipe } : config.recipe
  const count = (part: number) => (part < 1 ? Math.floor(part * rows) : part)
  const empty = (['train', 'validation', 'test'] as const).filter((part) => count(split[part]) < 1)
  if (empty.length > 0)
    throw errors.INPUT_REJECTED({
      what: `data of pipeline ${config.model}`,
      issues: empty.map((part) => `${rows} rows are too few: the ${part} part (${split[part]}) would be empty`),
    })
  return narrow(
    jobSpecSchema,
    {
      v: 1,
      model: config.model,
      data: { ...run.data, scale: dataset.scale ?? 1 },
      classes: dataset.classes && [...dataset.classes],
      features: dataset.features && [...dataset.features],
      image: dataset.image && [...dataset.image],
      split: {
        train: count(split.train),
        validation: count(split.validation),
        test: count(split.test),
        by: split.by,
        seed: run.splitSeed ?? seed,
      },
      network: config.network,
      base: config.base && { ...optionsOf(config.base), ...run.base },
      loss: config.loss ?? pipelineDefaults.loss,
      optimizer: config.optimizer ?? pipelineDefaults.optimizer,
      batchSize: config.batchSize ?? pipelineDefaults.batchSize,
      epochs: run.epochs ?? config.epochs ?? pipelineDefaults.epochs,
      seed,
      earlyStopping: config.earlyStopping,
      quantizationAware: config.quantizationAware,
      distillation: config.distillation && { ...optionsOf(config.distillation), ...run.teacher },
      augment: config.augment,
      balance: config.balance,
      gates: { ...pipelineDefaults.gates, ...config.gates },
      precision: config.precision ?? (recipe ? precisionOf[recipe.scheme] : pipelineDefaults.precision),
      recipe,
      // Nodes of versions that know ONNX alone take such a job, too.
      ...(formats.join() !== pipelineDefaults.formats.join() && { formats: [...formats] }),
      aliases: [...(config.aliases ?? pipelineDefaults.aliases)],
      from: run.from,
    },
    `pipeline ${config.model}`,
  )
}

/** A base model or teacher without the file itself, which a job names by its digest. */
function optionsOf<T extends Pick<BaseModel, 'model'>>(given: T): Omit<T, 'model'> {
  const { model: _, ...options } = given
  return options
}
