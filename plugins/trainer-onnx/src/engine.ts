import type { TrainData, TrainJob } from '@tideway/core'
import { roundName, unroll, writeModel } from '@tideway/onnx'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { Batch } from './batch.js'
import { evaluationGraph } from './graphs/inference.js'
import { CORRECT, FEED, LOSS, type RowsType } from './graphs/names.js'
import { type Mask, type TrainingStep, trainingGraph } from './graphs/training.js'
import { elements, type Layout } from './layout.js'
import { fillMask } from './masks.js'
import type { Trainable } from './trainable.js'
import type { Weights } from './weights.js'

/** Rows evaluated at once. */
const EVALUATION_ROWS = 1024

type Feeds = Readonly<Record<string, Tensor>>

/** One step of a run, with what it is fed: made once, filled anew for every run. */
interface Round {
  readonly batch: Batch
  readonly loss: Float32Array
  readonly rate: Float32Array
  readonly number: BigInt64Array
  readonly masks: readonly Float32Array[]
}

/** A training graph of some steps a run. */
interface Stepper {
  readonly session: InferenceSession
  readonly rounds: readonly Round[]
  readonly masks: readonly Mask[]
  /** By the side that the weights are on. */
  readonly feeds: readonly Feeds[]
  readonly fetches: readonly Feeds[]
}

export interface EngineOptions {
  readonly job: TrainJob
  readonly network: Trainable
  readonly layout: Layout
  readonly train: TrainData
  readonly weights: Weights
  /** Threads inside one operator, by the multiplications of a step. */
  readonly threads: (multiplications: number) => number
  /** The learning rate of a step, counted from 1. */
  readonly rate: (step: number) => number
}

/** So many steps of a small network are one run: what a run costs beyond its steps is paid once for all of them. */
const STEPS_A_RUN = 8
/** More multiplications than this a step, and its time goes to its operators rather than to what is between them. */
const SMALL_STEP = 100e6

/** Whether a step is so short that what a run costs beyond its operators shows. */
export const isSmall = (multiplications: number): boolean => multiplications < SMALL_STEP

/** Runs training steps and evaluations on ONNX Runtime; parameters stay in it for the steps of one run. */
export class Engine {
  private readonly sessions: InferenceSession[] = []
  private readonly steps = new Map<number, TrainingStep>()
  private readonly steppers = new Map<string, Stepper>()
  private evaluation: InferenceSession | undefined
  /** Threads inside one operator. */
  readonly threads: number

  constructor(private readonly options: EngineOptions) {
    this.threads = options.threads(this.step(options.job.batchSize).multiplications)
  }

  /** One epoch in the given order of rows; yields each step's loss and rows. */
  async *epoch(
    order: Uint32Array,
    firstStep: number,
  ): AsyncGenerator<{ readonly loss: number; readonly rows: number }> {
    const { weights, rate, job } = this.options
    let number = firstStep
    for (const { rows, steps, begin } of this.plan(order.length)) {
      const { session, feeds, fetches, rounds, masks } = await this.stepper(rows, steps)
      const side = weights.parity
      for (const [at, round] of rounds.entries()) {
        round.batch.fill(order, begin + at * rows)
        round.number[0] = BigInt(number + at)
        round.rate[0] = rate(number + at)
        for (const [place, mask] of masks.entries())
          fillMask(round.masks[place] as Float32Array, mask, job.seed, number + at, place)
      }
      await session.run(feeds[side] as Feeds, fetches[side] as Feeds)
      weights.swap()
      number += steps
      for (const { loss } of rounds) yield { loss: loss[0] as number, rows }
    }
  }

  /** An epoch as runs: several steps each, then single ones, then what is left of the rows. */
  private *plan(total: number): Generator<{ readonly rows: number; readonly steps: number; readonly begin: number }> {
    const { batchSize } = this.options.job
    const together = isSmall(this.step(batchSize).multiplications) ? STEPS_A_RUN : 1
    let begin = 0
    for (const steps of together === 1 ? [1] : [together, 1])
      for (; begin + steps * batchSize <= total; begin += steps * batchSize) yield { rows: batchSize, steps, begin }
    if (begin < total) yield { rows: total - begin, steps: 1, begin }
  }

  /** Mean loss over all rows, and for classes the share of rows that are right. */
  async evaluate(data: TrainData): Promise<{ readonly loss: number; readonly accuracy?: number }> {
    const { job, network, weights } = this.options
    this.evaluation ??= await this.session(evaluationGraph(job, network, data.inputs.dtype as RowsType))
    const taken = new Set(this.evaluation.inputNames)
    const total = data.inputs.shape[0] ?? 0
    const order = Uint32Array.from({ length: total }, (_, row) => row)
    const parameters = only(taken, weights.current())
    let loss = 0
    let correct: number | undefined
    for (let begin = 0; begin < total; begin += EVALUATION_ROWS) {
      const batch = new Batch(data, Math.min(EVALUATION_ROWS, total - begin))
      batch.fill(order, begin)
      const out = await this.evaluation.run({ ...parameters, ...batch.feeds })
      loss += Number(out[LOSS]?.data[0]) * batch.rows
      const right = out[CORRECT]
      if (right !== undefined) correct = (correct ?? 0) + Number(right.data[0])
    }
    return { loss: loss / total, ...(correct === undefined ? {} : { accuracy: correct / total }) }
  }

  /** Frees native memory; the engine is done. */
  async dispose(): Promise<void> {
    for (const session of this.sessions.splice(0)) await session.release()
  }

  private step(rows: number): TrainingStep {
    const { job, network, layout, train, weights } = this.options
    const type = train.inputs.dtype as RowsType
    const known = this.steps.get(rows)
    const step = known ?? trainingGraph(job, network, layout, type, rows, (name) => weights.frozenValues(name))
    this.steps.set(rows, step)
    return step
  }

  private async stepper(rows: number, steps: number): Promise<Stepper> {
    const key = `${steps} of ${rows}`
    const known = this.steppers.get(key)
    if (known !== undefined) return known
    const { train, weights } = this.options
    const { model, carried, kept, masks } = this.step(rows)
    const session = await this.session(writeModel(unroll(model, { times: steps, carried, shared: kept })))
    const taken = new Set(session.inputNames)
    const rounds = Array.from(
      { length: steps },
      (): Round => ({
        batch: new Batch(train, rows),
        loss: new Float32Array(1),
        rate: new Float32Array(1),
        number: new BigInt64Array(1),
        masks: masks.map(({ shape }) => new Float32Array(elements(shape))),
      }),
    )
    const fed = merged(rounds, ({ batch, rate, number, masks: filled }) => ({
      ...batch.feeds,
      [FEED.learningRate]: new Tensor('float32', rate, []),
      [FEED.step]: new Tensor('int64', number, []),
      ...Object.fromEntries(
        masks.map(({ name, shape }, place) => [name, new Tensor('float32', filled[place] as Float32Array, shape)]),
      ),
    }))
    const losses = merged(rounds, ({ loss }) => ({ [LOSS]: new Tensor('float32', loss, []) }))
    const changed = new Set(carried.keys())
    const stepper: Stepper = {
      session,
      rounds,
      masks,
      feeds: ([0, 1] as const).map((side) => only(taken, { ...weights.taken(side), ...fed })),
      fetches: ([0, 1] as const).map((side) => ({ ...losses, ...weights.written(side, changed) })),
    }
    this.steppers.set(key, stepper)
    return stepper
  }

  private async session(model: Uint8Array): Promise<InferenceSession> {
    const session = await InferenceSession.create(model, {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
      interOpNumThreads: 1,
      intraOpNumThreads: this.threads,
      // A thread that sleeps takes longer to wake than a small operator takes; one that spins without end takes the
      // core from everything else (a busy machine trained four times slower). 50 µs: 147,000 rows a second of
      // 784-128-10 on two idle cores, where sleeping gave 107,000 and one thread 102,000.
      extra: { session: { intra_op: { allow_spinning: '1', spin_duration_us: '50' } } },
      // Warnings of graph optimizers about tiny constants say nothing to a user.
      logSeverityLevel: 3,
    })
    this.sessions.push(session)
    return session
  }
}

/** An input that no node uses is not the session's: SGD takes no step number. One not declared would be refused. */
function only(names: ReadonlySet<string>, feeds: Feeds): Feeds {
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => names.has(name)))
}

/** The tensors of every round, under the names that they have in it. */
function merged(rounds: readonly Round[], tensorsOf: (round: Round) => Feeds): Feeds {
  return Object.fromEntries(
    rounds.flatMap((round, at) =>
      Object.entries(tensorsOf(round)).map(([name, tensor]) => [roundName(name, at), tensor]),
    ),
  )
}
