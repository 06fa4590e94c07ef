import type { Activation, LayerConfig, NetworkConfig } from '../network/schema.js'
import type { Augment, Balance } from '../pipeline/augment.js'
import type { QuantizationAware } from '../pipeline/aware.js'
import type { Distillation } from '../pipeline/distill.js'
import type { FineTune } from '../pipeline/finetune.js'
import type { EarlyStoppingConfig, LossConfig, OptimizerConfig } from '../pipeline/training.js'
import type { Tensor } from './tensor.js'

export type { Activation, LayerConfig, NetworkConfig }

/** What to train; plain JSON. Exactly one of `network` and `base` is there. */
export interface TrainJob {
  /** A network that begins with random weights. */
  readonly network?: NetworkConfig | undefined
  /** What is done to the ONNX model in `TrainContext.base`, which is trained further. */
  readonly base?: FineTune | undefined
  readonly loss: LossConfig
  readonly optimizer: OptimizerConfig
  readonly batchSize: number
  /** Epochs to run in all for this job (a job that starts from an earlier version's weights counts from 0). */
  readonly epochs: number
  /** Initialisation, shuffling. The same seed, machine, provider and thread count give the same bits. */
  readonly seed: number
  readonly earlyStopping?: EarlyStoppingConfig | undefined
  /** The loss is in part against the outputs of the model in `TrainContext.teacher`. */
  readonly distillation?: Distillation | undefined
  /** The last epochs are trained with the rounding of int8. */
  readonly quantizationAware?: QuantizationAware | undefined
  /** What is done to training rows, anew in each epoch; validation rows stay as they are. */
  readonly augment?: Augment | undefined
  /** What is done about classes of unequal size. */
  readonly balance?: Balance | undefined
  /** [height, width, channels] where flat rows are images, for `augment`. */
  readonly image?: readonly [number, number, number] | undefined
}

/** A job whose network begins with random weights. */
export interface NetworkJob extends TrainJob {
  readonly network: NetworkConfig
}

/** Rows of one input tensor and their targets; `inputs.shape[0] === targets.shape[0]`. */
export interface TrainData {
  readonly inputs: Tensor
  readonly targets: Tensor
}

export interface TrainProgress {
  readonly epoch: number
  readonly epochs: number
  readonly step: number
  readonly steps: number
  /** Mean training loss over the steps since the last report. */
  readonly loss: number
  readonly samplesPerSecond: number
  /** To the last of `steps`, at this run's pace; early stopping may end it sooner. */
  readonly secondsLeft: number
  /** Those of `epoch` when it ends; empty within an epoch. */
  readonly metrics: Readonly<Record<string, number>>
}

export interface TrainContext {
  readonly train: TrainData
  readonly validation?: TrainData
  /** The ONNX model's bytes, for a job with `base`. */
  readonly base?: Uint8Array
  /** The float ONNX model's bytes, for a job with `distillation`. */
  readonly teacher?: Uint8Array
  readonly signal?: AbortSignal
  /** Called at most every 100 ms and at the end of each epoch. */
  readonly onProgress?: (progress: TrainProgress) => void
  /**
   * Called at the end of each epoch with everything a resume needs. Training waits for it, and frees the bytes when it
   * has settled: who keeps a checkpoint for longer keeps a copy. They are the trainer's own, neither to be changed nor
   * transferred: the model that is shipped is written from the last ones.
   */
  readonly onCheckpoint?: (checkpoint: Uint8Array, epoch: number) => Promise<void>
  /** Continue an interrupted run of this same job (same seed): bit-identical to not having stopped. */
  readonly resumeFrom?: Uint8Array
  /** Start from another run's weights (its checkpoint); optimizer state and epoch start afresh. */
  readonly initializeFrom?: Uint8Array
  readonly threads?: number
  /** The execution provider, one of the trainer's `flags.providers` or `auto`; the trainer's own default when left out. */
  readonly provider?: string
}

export interface TrainedModel {
  /** Float ONNX model bytes with a free batch dimension; softmax included where the network has it. */
  readonly onnx: Uint8Array
  /** The shipped epoch's `loss`, and `valLoss`, `valAccuracy` where there is validation data. */
  readonly metrics: Readonly<Record<string, number>>
  /** The metrics of every epoch, in order: the learning curves. */
  readonly history: readonly Readonly<Record<string, number>>[]
  readonly checkpoint: Uint8Array
  /** Epochs trained: fewer than asked for where training stopped early. */
  readonly epochs: number
  readonly steps: number
  readonly seconds: number
  readonly samplesPerSecond: number
  /** Engine, version, provider, threads: what bit-identity depends on. */
  readonly environment: Readonly<Record<string, string | number>>
  /** What a person should know of how the model was trained, in plain words: what is frozen, what was left out. */
  readonly notes?: readonly string[]
}

export interface TrainerFlags {
  readonly layers: readonly LayerConfig['type'][]
  readonly providers: readonly string[]
}

export interface Trainer {
  readonly name: string
  readonly flags: TrainerFlags
  /**
   * Throws `TRAIN_CONFIG_INVALID` and `TRAIN_DATA_INVALID` (both name every bad field) before the first step,
   * `LOSS_NOT_FINITE` with the step, `TRAIN_ABORTED` when the signal fires, `CHECKPOINT_MISMATCH` for a checkpoint
   * of another network, job or format version.
   */
  fit(job: TrainJob, context: TrainContext): Promise<TrainedModel>
}
