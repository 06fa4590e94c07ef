import { roundName, unroll, writeModel } from '@tideway/onnx'
import {
  type EngineOrder,
  elements,
  FEED,
  type Feeder,
  factorOf,
  fillMask,
  LOSS,
  type Mask,
  nextOf,
  release,
  SCALE,
  type StepOrder,
  type StepPart,
  type TrainEngine,
  type TrainedBatch,
  type TrainingStep,
  trainingGraph,
} from '@tideway/training'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { Batch, type Feeds, only } from './batch.js'
import { environmentOf } from './environment.js'
import { Evaluator } from './evaluator.js'
import { pieceOf, Updater, type UpdateStep } from './updater.js'
import { Weights } from './weights.js'

/** One batch of a run, with what it is fed: made once, filled anew for every run. */
interface Round {
  readonly batch: Batch
  readonly loss: Float32Array
  readonly rate: Float32Array
  readonly number: BigInt64Array
  readonly masks: readonly Float32Array[]
}

/** A training graph of some batches a run. */
interface Stepper {
  readonly session: InferenceSession
  readonly rounds: readonly Round[]
  readonly masks: readonly Mask[]
  readonly fed: Feeds
  readonly losses: Feeds
  /** Tensors that a run takes, and those of them that it changes. */
  readonly taken: readonly string[]
  readonly changed: readonly string[]
  /** Slots whose gradients it gives as factors. */
  readonly factored: ReadonlySet<string>
}

export interface EngineOptions extends EngineOrder, Pick<StepOrder, 'block' | 'teacher'> {
  /** Threads inside one operator, by the multiplications of a step. */
  readonly threads: (multiplications: number) => number
  /** Elements of a parameter to update at once, behind the training graph; left out: as the network's size says. */
  readonly piece?: number
}

/** So many steps of a small network are one run: what a run costs beyond its steps is paid once for all of them. */
const STEPS_A_RUN = 8
/** More multiplications than this a step, and its time goes to its operators rather than to what is between them. */
const SMALL_STEP = 100e6

/** Whether a step is so short that what a run costs beyond its operators shows. */
export const isSmall = (multiplications: number): boolean => multiplications < SMALL_STEP

/** Runs training steps and evaluations on ONNX Runtime; parameters stay in it for the steps of one run. */
export class Engine implements TrainEngine {
  private readonly sessions: InferenceSession[] = []
  private readonly steppers = new Map<string, Stepper>()
  private readonly evaluator: Evaluator
  /** Takes the optimizer's steps of a large network; a smaller one's are in its training graph. */
  private readonly updater: Updater | undefined
  private readonly feeder: Feeder
  /** Threads inside one operator. */
  private readonly threads: number
  readonly weights: Weights
  readonly environment: TrainEngine['environment']

  constructor(private readonly options: EngineOptions) {
    const { optimizer, batchSize, layout, network, initial } = options
    this.weights = new Weights(network, layout, optimizer, initial)
    const { weights } = this
    const piece = options.piece ?? pieceOf(layout)
    if (piece !== undefined)
      this.updater = new Updater({ layout, optimizer, weights, piece, session: (model) => this.session(model, true) })
    this.evaluator = new Evaluator({ ...options, session: (model) => this.session(model) })
    // What a step costs does not depend on how its batch is made.
    const { multiplications } = this.graph({ rows: batchSize, before: 0, last: true }, false)
    const together = isSmall(multiplications) && optimizer.accumulate === 1 && this.updater === undefined
    this.feeder = options.feeder(together ? STEPS_A_RUN : 1)
    this.threads = options.threads(multiplications)
    this.environment = environmentOf('cpu', this.threads, options.block)
  }

  /** Steps of an epoch. */
  get steps(): number {
    return Math.ceil(this.feeder.steps / this.options.optimizer.accumulate)
  }

  /** One epoch, counted from 0, its steps from `first` on; `rate` is the learning rate of a step. */
  async *epoch(epoch: number, first: number, rate: (step: number) => number): AsyncGenerator<TrainedBatch> {
    const { seed, optimizer } = this.options
    const { weights } = this
    let step = first
    let batches = 0
    for await (const { rows, steps, fill } of this.feeder.epoch(epoch)) {
      const before = batches % optimizer.accumulate
      batches += steps
      // The epoch's last step takes the batches that are left.
      const last = before === optimizer.accumulate - 1 || batches === this.feeder.steps
      const stepper = await this.stepper({ rows, before, last }, steps)
      const { rounds, masks } = stepper
      for (const [at, { batch, number, rate: rateOf, masks: filled }] of rounds.entries()) {
        fill(at, batch.inputs, batch.targets)
        number[0] = BigInt(step + at)
        rateOf[0] = rate(step + at)
        // Batches of one step draw other numbers.
        for (const [place, mask] of masks.entries())
          fillMask(filled[place] as Float32Array, mask, { seed, step: step + at, part: before, place })
      }
      const given = await this.run(stepper)
      if (last) await this.updater?.update({ rate: rate(step), number: step, ...given, summed: before + 1 })
      for (const [at, { loss }] of rounds.entries()) yield { loss: loss[0] as number, rows, step: step + at }
      if (last) step += steps
    }
    // An epoch is followed by a checkpoint, which is a copy.
    weights.dropGradients()
  }

  evaluate(...args: Parameters<TrainEngine['evaluate']>): ReturnType<TrainEngine['evaluate']> {
    return this.evaluator.evaluate(...args)
  }

  estimate(...args: Parameters<TrainEngine['estimate']>): ReturnType<TrainEngine['estimate']> {
    return this.evaluator.estimate(...args)
  }

  /** Frees native memory; the engine is done. */
  async dispose(): Promise<void> {
    await this.feeder.close()
    for (const session of this.sessions.splice(0)) await session.release()
    this.weights.dropGradients()
  }

  /** Runs a graph and makes current what it changed; returns what an update needs beside the gradients. */
  private async run({
    session,
    fed,
    losses,
    taken,
    changed,
    factored,
  }: Stepper): Promise<Pick<UpdateStep, 'scale' | 'factors'>> {
    const { weights } = this
    const gradients = this.updater === undefined ? {} : weights.gradients(factored)
    const scale = session.outputNames.includes(SCALE) ? new Tensor('float32', new Float32Array(1), []) : undefined
    const written: Feeds = { ...losses, ...weights.written(changed), ...gradients, ...(scale && { [SCALE]: scale }) }
    const sides = [...factored].flatMap((name) => [factorOf(name, 'left'), factorOf(name, 'right')])
    const made = Object.fromEntries(sides.map((name) => [name, null]))
    const out = await session.run({ ...fed, ...weights.taken(taken) }, { ...written, ...made })
    weights.swap(changed)
    // What was asked for in our arrays is in them, and came back once more in new ones.
    for (const [name, { data }] of Object.entries(gradients)) {
      const copy = out[name]?.data
      if (copy instanceof Float32Array && copy.buffer !== (data as Float32Array).buffer) release(copy)
    }
    const factor = (name: string, side: 'left' | 'right') => out[factorOf(name, side)] as Tensor
    const factors = [...factored].map(
      (name) => [name, { left: factor(name, 'left'), right: factor(name, 'right') }] as const,
    )
    return { scale, factors: new Map(factors) }
  }

  private graph(part: StepPart, softTargets: boolean): TrainingStep {
    return trainingGraph({ ...this.options, softTargets, frozen: (name) => this.weights.frozenValues(name) }, part)
  }

  private async stepper({ rows, before, last }: StepPart, steps: number): Promise<Stepper> {
    // Only the last batch of a step has to know how many came before.
    const apart = this.updater !== undefined
    const part = { rows, before: last ? before : Math.min(before, 1), last, apart }
    const key = JSON.stringify([part, steps])
    const known = this.steppers.get(key)
    if (known !== undefined) return known
    const { model, carried, kept, masks, factored } = this.graph(part, this.feeder.targets.dtype === 'float32')
    const session = await this.session(
      writeModel(steps === 1 ? model : unroll(model, { times: steps, carried, shared: kept })),
    )
    const names = new Set(session.inputNames)
    // Those for the updater stay in one place.
    const gradients = new Set(apart ? Object.keys(this.weights.gradients(factored)) : [])
    const rounds = Array.from(
      { length: steps },
      (): Round => ({
        batch: new Batch(this.feeder, rows),
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
    const stepper: Stepper = {
      session,
      rounds,
      masks,
      fed: only(names, fed),
      losses: merged(rounds, ({ loss }) => ({ [LOSS]: new Tensor('float32', loss, []) })),
      taken: session.inputNames.filter((name) => !(name in fed)),
      changed: [...carried.keys()].filter((name) => !gradients.has(nextOf(name))),
      factored,
    }
    this.steppers.set(key, stepper)
    return stepper
  }

  private async session(model: Uint8Array, arena = this.updater === undefined): Promise<InferenceSession> {
    const session = await InferenceSession.create(model, {
      executionProviders: ['cpu'],
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
      interOpNumThreads: 1,
      intraOpNumThreads: this.threads,
      // An arena grows by powers of two and keeps what it has: a large network's is as large as its gradients. That of an
      // update has room for a piece, over and over: without it the C library's heap is in ruins after some thousand.
      enableCpuMemArena: arena,
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

/** The tensors of every round, under the names that they have in it. */
function merged(rounds: readonly Round[], tensorsOf: (round: Round) => Feeds): Feeds {
  return Object.fromEntries(
    rounds.flatMap((round, at) =>
      Object.entries(tensorsOf(round)).map(([name, tensor]) => [
        rounds.length === 1 ? name : roundName(name, at),
        tensor,
      ]),
    ),
  )
}
