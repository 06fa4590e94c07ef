import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import type { TrainContext, TrainedModel, Trainer, TrainJob } from '@tideway/core'
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, jobDigest } from './checkpoint.js'
import { Engine, isSmall } from './engine.js'
import { errors } from './errors.js'
import { inferenceModel } from './graphs/inference.js'
import { layoutOf } from './layout.js'
import { trainableOf } from './network.js'
import { Progress } from './progress.js'
import { shuffled } from './random.js'
import type { Trainable } from './trainable.js'
import { checkData, checkJob } from './validate.js'
import { initialStatistics, initialValues, Weights } from './weights.js'

export interface OnnxTrainerOptions {
  /** Threads inside one operator; a job's context may say otherwise. Left out: one per core, at most 2 for small steps, else 8. */
  readonly threads?: number
}

/** What a step's operators can share: those of a small one take microseconds. */
const MAX_THREADS = { small: 2, other: 8 } as const

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
      const network = trainableOf(job.network)
      checkData(job, network, context.train, context.validation)
      const asked = context.threads ?? options.threads
      const fitting = (multiplications: number): number =>
        Math.min(availableParallelism(), MAX_THREADS[isSmall(multiplications) ? 'small' : 'other'])
      return new Run(job, network, context, (multiplications) => asked ?? fitting(multiplications)).fit()
    },
  }
}

/** The weights that a job begins with when it starts from no other: what makes a run reproducible elsewhere. */
export function initialParameters({ network, seed }: Pick<TrainJob, 'network' | 'seed'>): Record<string, Float32Array> {
  return initialValues(trainableOf(network), seed)
}

/** The shape of each of a job's parameters, by name. */
export function parameterShapes({ network }: Pick<TrainJob, 'network'>): Record<string, readonly number[]> {
  return Object.fromEntries(trainableOf(network).parameters.map(({ name, shape }) => [name, shape]))
}

class Run {
  private readonly digest: string
  private readonly rows: number
  private readonly stepsPerEpoch: number
  private readonly environment: Checkpoint['environment']
  private readonly start: Pick<Checkpoint, 'epoch' | 'step' | 'history'>
  private readonly weights: Weights
  private readonly engine: Engine
  private readonly progress: Progress

  constructor(
    private readonly job: TrainJob,
    private readonly network: Trainable,
    private readonly context: TrainContext,
    threads: (multiplications: number) => number,
  ) {
    this.digest = jobDigest(job)
    this.rows = context.train.inputs.shape[0] ?? 0
    this.stepsPerEpoch = Math.ceil(this.rows / job.batchSize)
    const resumed = context.resumeFrom === undefined ? undefined : this.resumable(context.resumeFrom)
    const from =
      resumed === undefined && context.initializeFrom !== undefined
        ? decodeCheckpoint(context.initializeFrom, network)
        : resumed
    this.start = { epoch: resumed?.epoch ?? 0, step: resumed?.step ?? 0, history: resumed?.history ?? [] }
    const layout = layoutOf(job, network)
    this.weights = new Weights(
      network,
      layout,
      from?.parameters ?? initialValues(network, job.seed),
      resumed?.state ?? {},
      // Statistics are weights too: those that the weights were trained behind stay.
      from?.statistics ?? initialStatistics(network, context.train.inputs),
    )
    const rate = (): number => job.optimizer.learningRate
    this.engine = new Engine({ job, network, layout, train: context.train, weights: this.weights, threads, rate })
    this.environment = environmentOf(this.engine.threads)
    this.progress = new Progress(context.onProgress, job.epochs, job.epochs * this.stepsPerEpoch)
  }

  async fit(): Promise<TrainedModel> {
    let { step } = this.start
    const history = [...this.start.history]
    try {
      for (let epoch = this.start.epoch; epoch < this.job.epochs; epoch++) {
        const metrics = await this.epoch(epoch, step)
        step += this.stepsPerEpoch
        history.push(metrics)
        this.progress.endOfEpoch(epoch + 1, step, metrics)
        await this.context.onCheckpoint?.(this.checkpoint(epoch + 1, step, history), epoch + 1)
      }
    } finally {
      await this.engine.dispose()
    }
    return {
      onnx: inferenceModel(this.network, { ...this.weights.parameters(), ...this.weights.statistics() }),
      metrics: history.at(-1) ?? {},
      checkpoint: this.checkpoint(Math.max(this.job.epochs, this.start.epoch), step, history),
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
    for (const [name, { data }] of Object.entries(this.weights.current())) {
      if (!(data as Float32Array).every(Number.isFinite))
        throw errors.LOSS_NOT_FINITE({ step, epoch, what: `parameter ${name}` })
    }
  }

  private checkpoint(epoch: number, step: number, history: Checkpoint['history']): Uint8Array {
    return encodeCheckpoint({
      job: this.digest,
      epoch,
      step,
      rows: this.rows,
      parameters: this.weights.parameters(),
      state: this.weights.state(),
      statistics: this.weights.statistics(),
      history,
      environment: this.environment,
    })
  }

  private resumable(bytes: Uint8Array): Checkpoint {
    const checkpoint = decodeCheckpoint(bytes, this.network)
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
