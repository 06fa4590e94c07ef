import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import type { TrainContext, TrainedModel, Trainer, TrainJob } from '@tideway/core'
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, jobDigest } from './checkpoint.js'
import { Engine } from './engine.js'
import { errors } from './errors.js'
import { inferenceModel } from './graphs.js'
import { hasSmallSteps } from './network.js'
import { fitNormalizations } from './normalization.js'
import { Progress } from './progress.js'
import { shuffled } from './random.js'
import { checkData, checkJob } from './validate.js'
import { initialParameters, Weights } from './weights.js'

export interface OnnxTrainerOptions {
  /** Threads inside one operator; a job's context may say otherwise. Left out: 1 for small steps, else one per core, at most 4. */
  readonly threads?: number
}

/** Dense layers gain nothing from more threads than this; measured at batch 64. */
const MAX_DEFAULT_THREADS = 4

/**
 * A `Trainer` that writes forward pass, loss, backward pass and optimizer step as one ONNX graph and runs it with
 * ONNX Runtime, several steps of a small network to one `session.run`.
 *
 * @example
 * const trainer = createOnnxTrainer()
 * const { onnx, metrics } = await trainer.fit(job, { train: { inputs, targets } })
 */
export function createOnnxTrainer(options: OnnxTrainerOptions = {}): Trainer {
  return {
    name: 'onnx',
    flags: { layers: ['dense', 'normalization', 'rescaling'], providers: ['cpu'] },
    fit: async (job, context) => {
      checkJob(job)
      checkData(job, context.train, context.validation)
      const fitting = hasSmallSteps(job) ? 1 : Math.min(availableParallelism(), MAX_DEFAULT_THREADS)
      const threads = context.threads ?? options.threads ?? fitting
      return new Run(job, context, threads).fit()
    },
  }
}

class Run {
  private readonly digest: string
  private readonly rows: number
  private readonly stepsPerEpoch: number
  private readonly environment: Checkpoint['environment']
  private readonly start: Pick<Checkpoint, 'epoch' | 'step' | 'metrics' | 'normalizations'>
  private readonly weights: Weights
  private readonly engine: Engine
  private readonly progress: Progress

  constructor(
    private readonly job: TrainJob,
    private readonly context: TrainContext,
    threads: number,
  ) {
    this.digest = jobDigest(job)
    this.rows = context.train.inputs.shape[0] ?? 0
    this.stepsPerEpoch = Math.ceil(this.rows / job.batchSize)
    this.environment = environmentOf(threads)
    const resumed = context.resumeFrom === undefined ? undefined : this.resumable(context.resumeFrom)
    const from =
      resumed === undefined && context.initializeFrom !== undefined
        ? decodeCheckpoint(context.initializeFrom, job)
        : resumed
    // Statistics are weights too: those that the weights were trained behind stay.
    const normalizations = from?.normalizations ?? fitNormalizations(job.network, context.train.inputs)
    this.start = {
      epoch: resumed?.epoch ?? 0,
      step: resumed?.step ?? 0,
      metrics: resumed?.metrics ?? {},
      normalizations,
    }
    this.weights = new Weights(job, from?.parameters ?? initialParameters(job), resumed?.state ?? {})
    this.engine = new Engine(job, normalizations, context.train, this.weights, threads)
    this.progress = new Progress(context.onProgress, job.epochs, job.epochs * this.stepsPerEpoch)
  }

  async fit(): Promise<TrainedModel> {
    let { step, metrics } = this.start
    try {
      for (let epoch = this.start.epoch; epoch < this.job.epochs; epoch++) {
        metrics = await this.epoch(epoch, step)
        step += this.stepsPerEpoch
        this.progress.endOfEpoch(epoch + 1, step, metrics)
        await this.context.onCheckpoint?.(this.checkpoint(epoch + 1, step, metrics), epoch + 1)
      }
    } finally {
      await this.engine.dispose()
    }
    return {
      onnx: inferenceModel(this.job, this.start.normalizations, new Map(Object.entries(this.weights.parameters()))),
      metrics,
      checkpoint: this.checkpoint(Math.max(this.job.epochs, this.start.epoch), step, metrics),
      epochs: this.job.epochs,
      steps: step,
      seconds: this.progress.seconds,
      samplesPerSecond: this.progress.samplesPerSecond,
      environment: this.environment,
    }
  }

  /** Trains one epoch and returns its metrics. */
  private async epoch(epoch: number, before: number): Promise<Record<string, number>> {
    const { signal, validation } = this.context
    let step = before
    let sum = 0
    const obey = (): void => {
      if (signal?.aborted) throw errors.TRAIN_ABORTED({ step: step + 1, epoch: epoch + 1 }, signal.reason)
    }
    obey()
    for await (const { loss, rows } of this.engine.epoch(shuffled(this.rows, this.job.seed, epoch), before + 1)) {
      step += 1
      if (!Number.isFinite(loss)) throw errors.LOSS_NOT_FINITE({ step, epoch: epoch + 1, what: 'the loss' })
      sum += loss * rows
      this.progress.step(epoch + 1, step, loss, rows)
      obey()
    }
    this.checkWeights(step, epoch + 1)
    const metrics: Record<string, number> = { loss: sum / this.rows }
    if (validation !== undefined) {
      const { loss, accuracy } = await this.engine.evaluate(validation)
      metrics['valLoss'] = loss
      if (accuracy !== undefined) metrics['valAccuracy'] = accuracy
    }
    return metrics
  }

  /** The last step of an epoch may break the weights without any later loss to show it. */
  private checkWeights(step: number, epoch: number): void {
    for (const [name, values] of Object.entries(this.weights.current())) {
      const data = values.data as Float32Array
      if (!data.every(Number.isFinite)) throw errors.LOSS_NOT_FINITE({ step, epoch, what: `parameter ${name}` })
    }
  }

  private checkpoint(epoch: number, step: number, metrics: Readonly<Record<string, number>>): Uint8Array {
    return encodeCheckpoint({
      job: this.digest,
      epoch,
      step,
      rows: this.rows,
      parameters: this.weights.parameters(),
      state: this.weights.state(),
      normalizations: this.start.normalizations,
      metrics,
      environment: this.environment,
    })
  }

  private resumable(bytes: Uint8Array): Checkpoint {
    const checkpoint = decodeCheckpoint(bytes, this.job)
    const issues: string[] = []
    if (checkpoint.job !== this.digest)
      issues.push('it is of a job with another network, loss, optimizer, batch size or seed')
    if (checkpoint.rows !== this.rows) issues.push(`it is of ${checkpoint.rows} training rows, these are ${this.rows}`)
    if (checkpoint.epoch > this.job.epochs)
      issues.push(`it is ${checkpoint.epoch} epochs in, the job has ${this.job.epochs}`)
    if (issues.length > 0) throw errors.CHECKPOINT_MISMATCH({ issues })
    return checkpoint
  }
}

/** What bit-identity depends on. */
function environmentOf(threads: number): Record<string, string | number> {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string }
  return {
    engine: 'onnxruntime-node',
    version,
    provider: 'cpu',
    threads,
    platform: `${process.platform}-${process.arch}`,
  }
}
