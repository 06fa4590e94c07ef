import type { TrainData, TrainJob } from '@tideway/core'
import { roundName, unroll, writeModel } from '@tideway/onnx'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { Batch } from './batch.js'
import { CORRECT, evaluationGraph, FEED, LOSS, type RowsType, trainingGraph } from './graphs.js'
import { hasSmallSteps, type Normalization } from './network.js'
import type { Weights } from './weights.js'

/** Rows evaluated at once. */
const EVALUATION_ROWS = 1024

type Feeds = Readonly<Record<string, Tensor>>

/** A training graph of some steps a run, with everything that its runs take made beforehand. */
interface Stepper {
  readonly session: InferenceSession
  /** One a step, as all below. */
  readonly batches: readonly Batch[]
  readonly losses: readonly Float32Array[]
  readonly numbers: readonly BigInt64Array[]
  /** By the side that the weights are on. */
  readonly feeds: readonly Feeds[]
  readonly fetches: readonly Feeds[]
}

/** So many steps of a small network are one run: what a run costs beyond its steps is paid once for all of them. */
const STEPS_A_RUN = 8

/** Runs training steps and evaluations on ONNX Runtime; parameters stay in it for the steps of one run. */
export class Engine {
  private readonly sessions: InferenceSession[] = []
  private readonly steppers = new Map<string, Stepper>()
  private evaluation: InferenceSession | undefined
  constructor(
    private readonly job: TrainJob,
    private readonly normalizations: readonly Normalization[],
    private readonly train: TrainData,
    private readonly weights: Weights,
    private readonly threads: number,
  ) {}

  /** One epoch in the given order of rows; yields each step's loss and rows. */
  async *epoch(
    order: Uint32Array,
    firstStep: number,
  ): AsyncGenerator<{ readonly loss: number; readonly rows: number }> {
    let number = firstStep
    for (const { rows, steps, begin } of this.plan(order.length)) {
      const { session, feeds, fetches, batches, losses, numbers } = await this.stepper(rows, steps)
      const side = this.weights.parity
      for (const [at, batch] of batches.entries()) {
        batch.fill(order, begin + at * rows)
        ;(numbers[at] as BigInt64Array)[0] = BigInt(number + at)
      }
      await session.run(feeds[side] as Feeds, fetches[side] as Feeds)
      this.weights.swap()
      number += steps
      for (const loss of losses) yield { loss: loss[0] as number, rows }
    }
  }

  /** An epoch as runs: several steps each, then single ones, then what is left of the rows. */
  private *plan(total: number): Generator<{ readonly rows: number; readonly steps: number; readonly begin: number }> {
    const { batchSize } = this.job
    const together = hasSmallSteps(this.job) ? STEPS_A_RUN : 1
    let begin = 0
    for (const steps of together === 1 ? [1] : [together, 1])
      for (; begin + steps * batchSize <= total; begin += steps * batchSize) yield { rows: batchSize, steps, begin }
    if (begin < total) yield { rows: total - begin, steps: 1, begin }
  }

  /** Mean loss over all rows, and for classes the share of rows that are right. */
  async evaluate(data: TrainData): Promise<{ readonly loss: number; readonly accuracy?: number }> {
    this.evaluation ??= await this.session(
      evaluationGraph(this.job, this.normalizations, data.inputs.dtype as RowsType),
    )
    const total = data.inputs.shape[0] ?? 0
    const order = Uint32Array.from({ length: total }, (_, row) => row)
    const parameters = this.weights.current()
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

  private async stepper(rows: number, steps: number): Promise<Stepper> {
    const key = `${steps} of ${rows}`
    const known = this.steppers.get(key)
    if (known !== undefined) return known
    const step = trainingGraph(this.job, this.normalizations, this.train.inputs.dtype as RowsType, rows)
    const carried = this.weights.carried
    const session = await this.session(
      writeModel(unroll(step, { times: steps, carried, shared: new Set([FEED.learningRate]) })),
    )
    const each = Array.from({ length: steps }, (_, round) => ({
      round,
      batch: new Batch(this.train, rows),
      loss: new Float32Array(1),
      number: new BigInt64Array(1),
    }))
    const rate = new Tensor('float32', Float32Array.of(this.job.optimizer.learningRate), [])
    const taken = new Set(session.inputNames)
    const ofRounds = Object.assign(
      {},
      ...each.map(({ round, batch, number }) =>
        inRound({ ...batch.feeds, [FEED.step]: new Tensor('int64', number, []) }, round),
      ),
    ) as Feeds
    const losses = Object.assign(
      {},
      ...each.map(({ round, loss }) => inRound({ [LOSS]: new Tensor('float32', loss, []) }, round)),
    ) as Feeds
    const sides = ([0, 1] as const).map((side) => this.weights.feeds(side))
    const stepper: Stepper = {
      session,
      batches: each.map(({ batch }) => batch),
      losses: each.map(({ loss }) => loss),
      numbers: each.map(({ number }) => number),
      feeds: sides.map(({ input }) => only(taken, { ...input, [FEED.learningRate]: rate, ...ofRounds })),
      fetches: sides.map(({ output }) => ({ ...losses, ...output })),
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
      // The next batch is gathered on the same cores: threads that spin while they wait take them from it, and from
      // everything else on the machine (a busy one trained four times slower).
      extra: { session: { intra_op: { allow_spinning: '0' } } },
      // Warnings of graph optimizers about tiny constants say nothing to a user.
      logSeverityLevel: 3,
    })
    this.sessions.push(session)
    return session
  }
}

/** SGD takes no step number: an input that no node uses is still declared, but one not declared is refused. */
function only(names: ReadonlySet<string>, feeds: Feeds): Feeds {
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => names.has(name)))
}

/** The same tensors under the names that they have in one round. */
function inRound(feeds: Feeds, round: number): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [roundName(name, round), tensor]))
}
