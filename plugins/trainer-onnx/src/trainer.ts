import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import {
  layerTypes,
  type NetworkJob,
  resolveEarlyStopping,
  resolveOptimizer,
  type TrainContext,
  type TrainedModel,
  type Trainer,
  type TrainJob,
} from '@tideway/core'
import { fitAware, type Phase } from './aware/phases.js'
import { type Feeder, openFeeder } from './batches/feeder.js'
import { balancedLoss, feederOptions } from './batches/job.js'
import { channelBlock } from './block.js'
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, jobDigest } from './checkpoint.js'
import { teacherOf } from './distill/teacher.js'
import { earlyStopping } from './early-stopping.js'
import { Engine, type EngineOptions, isSmall } from './engine.js'
import { errors } from './errors.js'
import { inferenceModel } from './graphs/inference.js'
import type { RowsType } from './graphs/names.js'
import { trainableOf } from './layers/index.js'
import { layoutOf } from './layout.js'
import { Progress } from './progress.js'
import { release } from './release.js'
import { learningRateOf } from './schedule.js'
import type { Trainable } from './trainable.js'
import { checkData, trainableIn } from './validate.js'
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
    flags: { layers: layerTypes, providers: ['cpu'] },
    fit: async (job, context) => {
      const { network, notes } = trainableIn(job, context.base)
      checkData(job, network, context.train, context.validation)
      const digest = jobDigest(job, context.base, context.teacher)
      const asked = context.threads ?? options.threads
      const fitting = (multiplications: number): number =>
        Math.min(availableParallelism(), MAX_THREADS[isSmall(multiplications) ? 'small' : 'other'])
      const machine = {
        threads: (multiplications: number): number => asked ?? fitting(multiplications),
        block: await channelBlock(),
        teacher: teacherOf(job, context.teacher, network),
      }
      return fitAware({ job, network, notes, context }, (phase) => new Run(phase, digest, machine).fit())
    },
  }
}

/** The weights that a job begins with when it starts from no other: what makes a run reproducible elsewhere. */
export function initialParameters({
  network,
  seed,
}: Pick<NetworkJob, 'network' | 'seed'>): Record<string, Float32Array> {
  return initialValues(trainableOf(network), seed)
}

/** The shape of each of a job's parameters, by name. */
export function parameterShapes({ network }: Pick<NetworkJob, 'network'>): Record<string, readonly number[]> {
  return Object.fromEntries(trainableOf(network).parameters.map(({ name, shape }) => [name, shape]))
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
  private readonly rows: number
  private readonly stepsPerEpoch: number
  private readonly environment: Checkpoint['environment']
  private readonly start: Pick<Checkpoint, 'epoch' | 'step' | 'history'>
  private readonly rate: ReturnType<typeof learningRateOf>
  private readonly weights: Weights
  private readonly engine: Engine
  private readonly progress: Progress
  private best: Checkpoint['best']

  constructor(
    private readonly phase: Phase,
    private readonly digest: string,
    machine: Pick<EngineOptions, 'threads' | 'block' | 'teacher'>,
  ) {
    const { job, network, context } = phase
    this.job = job
    this.network = network
    this.context = context
    const { train } = context
    const optimizer = resolveOptimizer(job.optimizer)
    this.rows = train.inputs.shape[0] ?? 0
    this.rate = learningRateOf(job.optimizer.learningRate)
    const resumed = context.resumeFrom === undefined ? undefined : this.resumable(context.resumeFrom)
    const from =
      resumed === undefined && context.initializeFrom !== undefined
        ? decodeCheckpoint(context.initializeFrom, network)
        : resumed
    this.start = { epoch: resumed?.epoch ?? 0, step: resumed?.step ?? 0, history: resumed?.history ?? [] }
    this.best = resumed?.best
    const layout = layoutOf(optimizer, network)
    this.weights = new Weights(network, layout, optimizer, {
      parameters: from?.parameters ?? initialValues(network, job.seed),
      state: resumed?.state ?? {},
      // Statistics are weights too: those that the weights were trained behind stay.
      statistics: from?.statistics ?? initialStatistics(network, train.inputs),
    })
    const { batchSize, seed } = job
    const loss = balancedLoss(job, network, train)
    const rowsType = train.inputs.dtype as RowsType
    const feeder = (stepsARun: number): Feeder => openFeeder(feederOptions(job, network, train, stepsARun))
    this.engine = new Engine({
      loss,
      optimizer,
      network,
      layout,
      rowsType,
      batchSize,
      seed,
      feeder,
      weights: this.weights,
      ...machine,
    })
    this.stepsPerEpoch = this.engine.steps
    this.environment = environmentOf(this.engine.threads, machine.block)
    const place = phase.place ?? { epochs: job.epochs, before: { epochs: 0, steps: 0 } }
    this.progress = new Progress(context.onProgress, place, this.stepsPerEpoch, this.start.step)
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
        step += this.stepsPerEpoch
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
      environment: this.environment,
      notes: this.phase.notes,
    }
  }

  /** Trains one epoch and returns its metrics. */
  private async epoch(epoch: number, before: number, history: Checkpoint['history']): Promise<Record<string, number>> {
    const { signal, train, validation } = this.context
    const { epochs } = this.job
    const steps = epochs * this.stepsPerEpoch
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
    const after = before + this.stepsPerEpoch
    this.checkWeights(after, epoch + 1)
    const metrics: Record<string, number> = { loss: sum / trained }
    const isEstimated = (this.network.estimated ?? []).length > 0
    if (validation === undefined && !isEstimated) return metrics
    const averages = this.weights.averages(after)
    const shipped = { ...this.weights.parameters(), ...this.weights.statistics(), ...averages }
    for (const [name, values] of await this.engine.estimate(train, shipped)) this.weights.values(name).set(values)
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
      rows: this.rows,
      parameters,
      state: this.weights.state(),
      statistics,
      history,
      ...(this.best && { best: this.best }),
      environment: this.environment,
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

  private resumable(bytes: Uint8Array): Checkpoint {
    const checkpoint = decodeCheckpoint(bytes, this.network)
    const issues: string[] = []
    if (checkpoint.job !== this.digest)
      issues.push('it is of a job with another network or base model, loss, optimizer, batch size or seed')
    if (checkpoint.rows !== this.rows) issues.push(`it is of ${checkpoint.rows} training rows, these are ${this.rows}`)
    if (checkpoint.epoch > this.job.epochs)
      issues.push(`it is ${checkpoint.epoch} epochs in, the job has ${this.job.epochs}`)
    if (issues.length > 0) throw errors.CHECKPOINT_MISMATCH({ issues })
    return checkpoint
  }
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

/** What bit-identity depends on. */
function environmentOf(threads: number, block: number | undefined): Record<string, string | number> {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string }
  return {
    engine: 'onnxruntime-node',
    version,
    provider: 'cpu',
    threads,
    platform: `${process.platform}-${process.arch}`,
    // Convolutions on blocks of channels sum in another order.
    ...(block !== undefined && { channelBlock: block }),
  }
}
