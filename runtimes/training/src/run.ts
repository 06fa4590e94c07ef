import {
  resolveEarlyStopping,
  resolveOptimizer,
  type TrainContext,
  type TrainedModel,
  type TrainJob,
} from '@tideway/core'
import { openFeeder } from './batches/feeder.js'
import { balancedLoss, feederOptions } from './batches/job.js'
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, type FloatPart } from './checkpoint.js'
import { earlyStopping } from './early-stopping.js'
import type { EngineOrder, TrainEngine, TrainedWeights } from './engine.js'
import { errors } from './errors.js'
import { inferenceModel } from './graphs/inference.js'
import type { RowsType } from './graphs/names.js'
import { initialStatistics, initialValues } from './initial.js'
import { layoutOf } from './layout.js'
import { type Place, Progress } from './progress.js'
import { release } from './release.js'
import { learningRateOf } from './schedule.js'
import type { Trainable } from './trainable.js'

/** One part of a job's epochs, on one network. */
export interface Phase {
  readonly job: TrainJob
  readonly network: Trainable
  readonly notes: readonly string[]
  readonly context: TrainContext
  /** What checkpoints keep of the part before. */
  readonly before?: FloatPart
  /** Where it stands in the job; left out: it is the whole of it. */
  readonly place?: Place
}

/**
 * Trains the epochs of one phase on an engine: schedules, early stopping, checkpoints and progress are the same for every
 * trainer. Throws `CHECKPOINT_MISMATCH`, `LOSS_NOT_FINITE` and `TRAIN_ABORTED`.
 */
export async function fitPhase(
  phase: Phase,
  digest: string,
  open: (order: EngineOrder) => TrainEngine | Promise<TrainEngine>,
): Promise<TrainedModel> {
  const { job, network, context } = phase
  const { train } = context
  const optimizer = resolveOptimizer(job.optimizer)
  const resumed = context.resumeFrom && resumable(context.resumeFrom, phase, digest)
  const from = resumed ?? (context.initializeFrom && decodeCheckpoint(context.initializeFrom, network))
  const engine = await open({
    loss: balancedLoss(job, network, train),
    optimizer,
    network,
    layout: layoutOf(optimizer, network),
    rowsType: train.inputs.dtype as RowsType,
    batchSize: job.batchSize,
    seed: job.seed,
    feeder: (stepsARun) => openFeeder(feederOptions(job, network, train, stepsARun)),
    initial: {
      parameters: from?.parameters ?? initialValues(network, job.seed),
      state: resumed?.state ?? {},
      // Statistics are weights too: those that the weights were trained behind stay.
      statistics: from?.statistics ?? initialStatistics(network, train.inputs),
    },
  })
  return new Run(phase, digest, engine, resumed).fit()
}

/** A checkpoint's bytes, and where in them the weights lie that are shipped. */
interface Written {
  readonly bytes: Uint8Array
  readonly stored: Readonly<Record<string, Uint8Array>>
}

class Run {
  private readonly job: TrainJob
  private readonly network: Trainable
  private readonly context: TrainContext
  private readonly start: Pick<Checkpoint, 'epoch' | 'step' | 'history'> & Partial<Pick<Checkpoint, 'environment'>>
  private readonly rate: ReturnType<typeof learningRateOf>
  private readonly weights: TrainedWeights
  private readonly progress: Progress
  private best: Checkpoint['best']

  constructor(
    private readonly phase: Phase,
    private readonly digest: string,
    private readonly engine: TrainEngine,
    resumed: Checkpoint | undefined,
  ) {
    const { job, network, context } = phase
    this.job = job
    this.network = network
    this.context = context
    this.rate = learningRateOf(job.optimizer.learningRate)
    const { epoch = 0, step = 0, history = [], environment } = resumed ?? {}
    this.start = { epoch, step, history, ...(environment && { environment }) }
    this.best = resumed?.best
    this.weights = engine.weights
    const place = phase.place ?? { epochs: job.epochs, before: { epochs: 0, steps: 0 } }
    this.progress = new Progress(context.onProgress, place, engine.steps, this.start.step)
  }

  async fit(): Promise<TrainedModel> {
    const { earlyStopping: stopping, epochs } = this.job
    let { epoch, step } = this.start
    const history = [...this.start.history]
    const { onCheckpoint } = this.context
    let last: Written | undefined
    const isDone = (): boolean => epoch >= epochs || (stopping !== undefined && earlyStopping(stopping, history).stop)
    try {
      while (!isDone()) {
        const metrics = await this.epoch(epoch, step, history)
        step += this.engine.steps
        epoch += 1
        history.push(metrics)
        if (stopping !== undefined && earlyStopping(stopping, history).best === epoch - 1)
          this.best = { epoch, tensors: this.weights.shipped(step) }
        this.progress.endOfEpoch(epoch, step, metrics)
        if (onCheckpoint === undefined) continue
        last = this.checkpoint(epoch, step, history)
        await onCheckpoint(last.bytes, epoch)
        // The garbage collector would come to it when there are two or three.
        if (!isDone()) release(last.bytes)
      }
    } finally {
      await this.engine.dispose()
    }
    const restored = stopping !== undefined && resolveEarlyStopping(stopping).restoreBest ? this.best : undefined
    const averages = restored === undefined ? this.weights.averages(step) : {}
    // The model is written from the checkpoint: weights, checkpoint and model would be too much at a time.
    const { bytes, stored } = last ?? this.checkpoint(epoch, step, history, true)
    this.weights.drop()
    const tensors = restored?.tensors ?? { ...stored, ...averages }
    return {
      onnx: this.network.write?.(floatsOf(tensors)) ?? inferenceModel(this.network, tensors),
      metrics: history[(restored?.epoch ?? history.length) - 1] ?? {},
      history,
      checkpoint: bytes,
      epochs: epoch,
      steps: step,
      seconds: this.progress.seconds,
      samplesPerSecond: this.progress.samplesPerSecond,
      environment: this.engine.environment,
      notes: [...this.phase.notes, ...movedNotes(this.start.environment, this.engine.environment)],
    }
  }

  /** Trains one epoch and returns its metrics. */
  private async epoch(epoch: number, before: number, history: Checkpoint['history']): Promise<Record<string, number>> {
    const { signal, train, validation } = this.context
    const { epochs } = this.job
    const steps = epochs * this.engine.steps
    const rate = (step: number): number => this.rate({ step, steps, epoch, epochs, metricHistory: history })
    let sum = 0
    let trained = 0
    const obey = (step: number): void => {
      if (signal?.aborted) throw errors.TRAIN_ABORTED({ step, epoch: epoch + 1 }, signal.reason)
    }
    obey(before + 1)
    for await (const { loss, rows, step } of this.engine.epoch(epoch, before + 1, rate)) {
      if (!Number.isFinite(loss)) throw errors.LOSS_NOT_FINITE({ step, epoch: epoch + 1, what: 'the loss' })
      sum += loss * rows
      trained += rows
      this.progress.step(epoch + 1, step, loss, rows)
      obey(step + 1)
    }
    const after = before + this.engine.steps
    this.checkWeights(after, epoch + 1)
    const metrics: Record<string, number> = { loss: sum / trained }
    const isEstimated = (this.network.estimated ?? []).length > 0
    if (validation === undefined && !isEstimated) return metrics
    const averages = this.weights.averages(after)
    const shipped = { ...this.weights.parameters(), ...this.weights.statistics(), ...averages }
    for (const [name, values] of await this.engine.estimate(train, shipped)) this.weights.set(name, values)
    if (validation !== undefined) {
      const { loss, accuracy } = await this.engine.evaluate(validation, shipped)
      metrics['valLoss'] = loss
      if (accuracy !== undefined) metrics['valAccuracy'] = accuracy
    }
    for (const values of Object.values(averages)) release(values)
    return metrics
  }

  /** The last step of an epoch may break the weights without any later loss to show it. */
  private checkWeights(step: number, epoch: number): void {
    for (const [name, data] of Object.entries({ ...this.weights.parameters(), ...this.weights.statistics() })) {
      if (!data.every(Number.isFinite)) throw errors.LOSS_NOT_FINITE({ step, epoch, what: `parameter ${name}` })
    }
  }

  /** What a run goes on from. `spent`: the weights are not needed any more, and are freed as they are copied. */
  private checkpoint(epoch: number, step: number, history: Checkpoint['history'], spent = false): Written {
    const [parameters, statistics] = [this.weights.parameters(), this.weights.statistics()]
    const checkpoint: Checkpoint = {
      job: this.digest,
      epoch,
      step,
      rows: rowsOf(this.context),
      parameters,
      state: this.weights.state(),
      statistics,
      history,
      ...(this.best && { best: this.best }),
      environment: this.engine.environment,
      ...(this.phase.before && { aware: this.phase.before }),
    }
    const ours = Object.entries({ ...parameters, ...checkpoint.state, ...statistics })
    const free = ours.filter(([name]) => spent && !this.weights.isFrozen(name)).map(([, values]) => values)
    const { bytes, placed } = encodeCheckpoint(checkpoint, free)
    const stored = Object.entries({ ...parameters, ...statistics }).flatMap(([name, values]) => {
      const place = placed.get(values)
      return place === undefined ? [] : [[name, place] as const]
    })
    return { bytes, stored: Object.fromEntries(stored) }
  }
}

/** A run may go on anywhere, but its bits are those of one place. */
function movedNotes(before: Checkpoint['environment'] = {}, now: Checkpoint['environment']): string[] {
  const moved = Object.entries(before).filter(([name, value]) => now[name] !== value)
  if (moved.length === 0) return []
  const each = moved.map(([name, value]) => `${name} was ${value} and is ${now[name] ?? 'none'}`)
  return [`went on from a checkpoint of elsewhere (${each.join(', ')}): close to a run in one place, not the same bits`]
}

const rowsOf = ({ train }: TrainContext): number => train.inputs.shape[0] ?? 0

function resumable(bytes: Uint8Array, { job, network, context }: Phase, digest: string): Checkpoint {
  const checkpoint = decodeCheckpoint(bytes, network)
  const rows = rowsOf(context)
  const issues: string[] = []
  if (checkpoint.job !== digest)
    issues.push('it is of a job with another network or base model, loss, optimizer, batch size or seed')
  if (checkpoint.rows !== rows) issues.push(`it is of ${checkpoint.rows} training rows, these are ${rows}`)
  if (checkpoint.epoch > job.epochs) issues.push(`it is ${checkpoint.epoch} epochs in, the job has ${job.epochs}`)
  if (issues.length > 0) throw errors.CHECKPOINT_MISMATCH({ issues })
  return checkpoint
}

/** Tensors as arrays of their own, where they are bytes of a checkpoint. */
function floatsOf(tensors: Readonly<Record<string, Float32Array | Uint8Array>>): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, values]) => [
      name,
      values instanceof Float32Array ? values : new Float32Array(values.slice().buffer),
    ]),
  )
}
