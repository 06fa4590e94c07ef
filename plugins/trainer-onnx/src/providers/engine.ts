import { writeModel } from '@tideway/onnx'
import {
  type EngineOrder,
  elements,
  FEED,
  type Feeder,
  fillMask,
  LOSS,
  SlotWeights,
  type StepOrder,
  type StepPart,
  type TrainEngine,
  type TrainedBatch,
  type TrainingStep,
  trainingGraph,
} from '@tideway/training'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { Batch, type Feeds, only } from '../batch.js'
import { environmentOf } from '../environment.js'
import { Evaluator } from '../evaluator.js'
import { Carrier } from './carrier.js'
import { CPU, LACKING, type Provider, providerOf, sessionOptions } from './provider.js'
import { ProviderSessions } from './sessions.js'

/** Losses that are read from the device together: each reading waits for what it has not done yet. */
const LOSSES_AT_ONCE = 8

/** A training graph, and the arrays that it is fed beside what it carries on. */
interface Stepper {
  readonly session: InferenceSession
  readonly step: Omit<TrainingStep, 'model'>
  readonly names: ReadonlySet<string>
  readonly batch: Batch
  readonly masks: readonly Float32Array[]
  /** Computes on the CPU what the provider has no float64 for. */
  readonly scalars: InferenceSession | undefined
}

interface Pending {
  readonly loss: Tensor
  readonly rows: number
  readonly step: number
}

export interface ProviderEngineOptions extends EngineOrder, Pick<StepOrder, 'teacher'> {
  readonly provider: Provider
  readonly threads: number
}

/**
 * Takes training steps on an execution provider other than the CPU. Parameters, optimizer state and statistics go up when
 * an epoch begins, are inputs and outputs of its steps where they lie, and come back when it ends. Where a provider's
 * memory cannot hold them (all but WebGPU's), every step carries them as arrays.
 */
export class ProviderEngine implements TrainEngine {
  readonly weights: SlotWeights
  readonly environment: TrainEngine['environment']
  private readonly feeder: Feeder
  private readonly evaluator: Evaluator
  private readonly carrier: Carrier
  private readonly steppers = new Map<string, Promise<Stepper>>()
  private held: Record<string, Tensor> = {}
  private pending: Pending[] = []

  private constructor(
    private readonly options: ProviderEngineOptions,
    private readonly sessions: ProviderSessions,
  ) {
    const { network, layout, optimizer, initial, feeder, provider, threads } = options
    this.weights = new SlotWeights(network, layout, optimizer, initial)
    this.environment = environmentOf(provider.name, threads)
    this.feeder = feeder(1)
    this.carrier = new Carrier(sessions)
    this.evaluator = new Evaluator({
      ...options,
      without: LACKING,
      session: (model) => sessions.create(model),
      upload: (feeds) => this.carrier.up(feeds),
    })
  }

  /** Throws `PROVIDER_UNAVAILABLE`, with the reason; what it was to begin with is untouched then. */
  static async open(options: ProviderEngineOptions): Promise<ProviderEngine> {
    const sessions = await ProviderSessions.start(options.provider, options.threads)
    const engine = new ProviderEngine(options, sessions)
    try {
      const { accumulate } = options.optimizer
      const parts = accumulate === 1 ? [0] : [0, accumulate - 1]
      for (const before of parts)
        await engine.stepper({ rows: options.batchSize, before, last: before === accumulate - 1 }, true)
      await engine.evaluator.prepare(options.rowsType)
      return engine
    } catch (error) {
      await engine.dispose()
      throw error
    }
  }

  get steps(): number {
    return Math.ceil(this.feeder.steps / this.options.optimizer.accumulate)
  }

  /** Operators that run on the CPU all the same, where the provider may have its help. */
  get onCpu(): readonly string[] {
    return [...this.sessions.onCpu]
  }

  async *epoch(epoch: number, first: number, rate: (step: number) => number): AsyncGenerator<TrainedBatch> {
    const { accumulate } = this.options.optimizer
    const arrays = this.tensors()
    this.held = { ...(await this.carrier.up(arrays)) }
    let step = first
    let batches = 0
    for await (const { rows, fill } of this.feeder.epoch(epoch)) {
      const before = batches % accumulate
      batches += 1
      // The epoch's last step takes the batches that are left.
      const last = before === accumulate - 1 || batches === this.feeder.steps
      const stepper = await this.stepper({ rows, before: last ? before : Math.min(before, 1), last })
      fill(0, stepper.batch.inputs, stepper.batch.targets)
      this.pending.push({ loss: await this.run(stepper, step, before, rate(step)), rows, step })
      if (last) step += 1
      if (this.pending.length === LOSSES_AT_ONCE) yield* await this.read()
    }
    yield* await this.read()
    const names = Object.keys(arrays)
    const back = await this.carrier.down(Object.fromEntries(names.map((name) => [name, this.held[name] as Tensor])))
    for (const name of names) this.weights.set(name, back[name]?.data as Float32Array)
    this.drop()
  }

  evaluate(...args: Parameters<TrainEngine['evaluate']>): ReturnType<TrainEngine['evaluate']> {
    return this.evaluator.evaluate(...args)
  }

  estimate(...args: Parameters<TrainEngine['estimate']>): ReturnType<TrainEngine['estimate']> {
    return this.evaluator.estimate(...args)
  }

  async dispose(): Promise<void> {
    await this.feeder.close()
    for (const { loss } of this.pending.splice(0)) loss.dispose()
    this.drop()
    for (const stepper of this.steppers.values()) await (await stepper.catch(() => undefined))?.scalars?.release()
    this.steppers.clear()
    await this.sessions.release()
  }

  private drop(): void {
    for (const tensor of Object.values(this.held)) tensor.dispose()
    this.held = {}
  }

  /** Takes a step, or a batch of one: what it changes takes the place of what was there. Returns its loss. */
  private async run(stepper: Stepper, step: number, part: number, rate: number): Promise<Tensor> {
    const { session, names, batch, masks, scalars } = stepper
    const { carried, masks: specs } = stepper.step
    const { seed } = this.options
    for (const [place, mask] of specs.entries())
      fillMask(masks[place] as Float32Array, mask, { seed, step, part, place })
    const numbers = numbersOf(rate, step)
    const drawn = specs.map(({ name, shape }, place) => [name, new Tensor('float32', masks[place]!, shape)] as const)
    const others = { ...numbers, ...(await inDouble(scalars, numbers)), ...Object.fromEntries(drawn) }
    const fed = { ...this.held, ...batch.feeds, ...others }
    const out = await session.run(only(names, fed))
    for (const [name, next] of carried) {
      this.held[name]?.dispose()
      this.held[name] = out[next] as Tensor
    }
    return out[LOSS] as Tensor
  }

  /** The losses of the steps since the last reading. */
  private async read(): Promise<TrainedBatch[]> {
    const pending = this.pending.splice(0)
    const losses = await this.carrier.down(Object.fromEntries(pending.map(({ loss }, at) => [`loss_${at}`, loss])))
    const read = pending.map(({ rows, step }, at) => ({ loss: Number(losses[`loss_${at}`]?.data[0]), rows, step }))
    for (const { loss } of pending) loss.dispose()
    return read
  }

  /** What a first step takes, beside its rows. Its rate lets what it changes be in proportion to gradients, not to their signs. */
  private async beginning(
    { masks }: Pick<TrainingStep, 'masks'>,
    scalars: InferenceSession | undefined,
  ): Promise<Feeds> {
    const { layout } = this.options
    const ones = masks.map(({ name, shape }) => {
      return [name, new Tensor('float32', new Float32Array(elements(shape)).fill(1), shape)] as const
    })
    const rate = layout.states.length === 0 ? 1 : 0
    const numbers = numbersOf(rate, 1)
    return { ...this.tensors(), ...Object.fromEntries(ones), ...numbers, ...(await inDouble(scalars, numbers)) }
  }

  private tensors(): Feeds {
    const { weights } = this
    return Object.fromEntries(
      weights.shapes().map(([name, shape]) => [name, new Tensor('float32', weights.values(name), shape)]),
    )
  }

  private stepper(part: StepPart, tryOut = false): Promise<Stepper> {
    const key = JSON.stringify([part.rows, part.before, part.last])
    const known = this.steppers.get(key) ?? this.make(part, tryOut)
    this.steppers.set(key, known)
    return known
  }

  private async make(part: StepPart, tryOut: boolean): Promise<Stepper> {
    const { options, weights, feeder, sessions } = this
    const softTargets = feeder.targets.dtype === 'float32'
    const frozen = (name: string): Float32Array => weights.frozenValues(name)
    const { model, ...step } = trainingGraph({ ...options, softTargets, frozen, without: LACKING }, part)
    const bytes = writeModel(model)
    const session = await sessions.create(bytes, { stay: true })
    const scalars =
      step.scalars && (await InferenceSession.create(writeModel(step.scalars), sessionOptions(providerOf(CPU), 1)))
    if (tryOut) {
      const begin = await this.beginning(step, scalars)
      await sessions.tryOut({ session, model: bytes, step, begin, carrier: this.carrier })
    }
    return {
      session,
      step,
      names: new Set(session.inputNames),
      batch: new Batch(feeder, part.rows),
      masks: step.masks.map(({ shape }) => new Float32Array(elements(shape))),
      scalars,
    }
  }
}

const numbersOf = (rate: number, step: number): Feeds => ({
  [FEED.learningRate]: new Tensor('float32', Float32Array.of(rate), []),
  [FEED.step]: new Tensor('int64', BigInt64Array.of(BigInt(step)), []),
})

/** What a step is fed of these numbers that its provider has no float64 for. */
async function inDouble(scalars: InferenceSession | undefined, numbers: Feeds): Promise<Feeds> {
  if (scalars === undefined) return {}
  return (await scalars.run(only(new Set(scalars.inputNames), numbers))) as Feeds
}
