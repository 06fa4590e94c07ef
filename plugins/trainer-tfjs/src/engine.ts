import * as tf from '@tensorflow/tfjs-core'
import type { Tensor, TrainData } from '@tideway/core'
import { type Model, readModel } from '@tideway/onnx'
import {
  type Arrays,
  CORRECT,
  type EngineOrder,
  elements,
  evaluationGraph,
  FEED,
  type Feeder,
  fillMask,
  LOSS,
  type Mask,
  SlotWeights,
  type StepOrder,
  type StepPart,
  type TrainEngine,
  type TrainedBatch,
  type TrainingStep,
  trainingGraph,
} from '@tideway/training'
import { Program, tensorOf } from './graph/program.js'

/** Rows evaluated at once. */
const EVALUATION_ROWS = 256
/** Losses that are read from the backend together: each reading waits for what a GPU has not done yet. */
const LOSSES_AT_ONCE = 8

type Tensors = Record<string, tf.Tensor>

/** A training graph and what it is fed beside what it carries on. */
interface Stepper {
  readonly program: Program
  readonly step: Omit<TrainingStep, 'model'>
}

interface Pending {
  readonly loss: tf.Tensor
  readonly rows: number
  readonly step: number
}

export interface TfjsEngineOptions extends EngineOrder, Pick<StepOrder, 'teacher'> {
  /** Runs a task while TensorFlow.js computes on the backend that this engine is for. */
  readonly on: <T>(task: () => T) => Promise<T>
  readonly environment: TrainEngine['environment']
}

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array } as const

/**
 * Takes training steps on a backend of TensorFlow.js. A step is the graph that every trainer of ours runs: forward pass,
 * loss, gradients and optimizer as ONNX operators. Parameters and optimizer state stay on the backend until an epoch ends.
 */
export class TfjsEngine implements TrainEngine {
  readonly weights: SlotWeights
  readonly environment: TrainEngine['environment']
  private readonly feeder: Feeder
  private readonly steppers = new Map<string, Stepper>()
  private evaluation: Program | undefined
  private held: Tensors = {}
  private pending: Pending[] = []

  private constructor(private readonly options: TfjsEngineOptions) {
    const { network, layout, optimizer, initial, environment, feeder } = options
    this.weights = new SlotWeights(network, layout, optimizer, initial)
    this.environment = environment
    this.feeder = feeder(1)
  }

  /** Throws `TFJS_GRAPH_UNSUPPORTED` for a network that has operators without a kernel here. */
  static async open(options: TfjsEngineOptions): Promise<TfjsEngine> {
    const engine = new TfjsEngine(options)
    try {
      await options.on(() => engine.upload())
    } catch (error) {
      await engine.dispose()
      throw error
    }
    return engine
  }

  get steps(): number {
    return Math.ceil(this.feeder.steps / this.options.optimizer.accumulate)
  }

  async *epoch(epoch: number, first: number, rate: (step: number) => number): AsyncGenerator<TrainedBatch> {
    const { optimizer, on } = this.options
    let step = first
    let batches = 0
    for await (const { rows, fill } of this.feeder.epoch(epoch)) {
      const before = batches % optimizer.accumulate
      batches += 1
      // The epoch's last step takes the batches that are left.
      const last = before === optimizer.accumulate - 1 || batches === this.feeder.steps
      const at = step
      const loss = await on(() => {
        const stepper = this.stepper({ rows, before: last ? before : Math.min(before, 1), last })
        return this.run(stepper, { ...this.batch(rows, fill), ...this.numbers(stepper, at, before, rate(at)) })
      })
      this.pending.push({ loss, rows, step })
      if (last) step += 1
      if (this.pending.length === LOSSES_AT_ONCE) yield* await this.read()
    }
    yield* await this.read()
    await this.download()
  }

  async evaluate(data: TrainData, tensors: Arrays): Promise<{ readonly loss: number; readonly accuracy?: number }> {
    const { loss: config, network, on, rowsType } = this.options
    const { evaluation, given } = await on(() => {
      this.evaluation ??= new Program(readModel(evaluationGraph({ loss: config }, network, rowsType)))
      const { inputs } = this.evaluation
      const specs = [...network.parameters, ...network.statistics].filter(({ name }) => inputs.has(name))
      const upload = specs.map(({ name, shape }) => [name, tf.tensor(tensors[name] as Float32Array, [...shape])])
      return { evaluation: this.evaluation, given: Object.fromEntries(upload) as Tensors }
    })
    const total = data.inputs.shape[0] ?? 0
    let loss = 0
    let correct: number | undefined
    try {
      for (let begin = 0; begin < total; begin += EVALUATION_ROWS) {
        const rows = Math.min(EVALUATION_ROWS, total - begin)
        const out = await on(() => {
          const parts = { [FEED.rows]: part(data.inputs, begin, rows), [FEED.targets]: part(data.targets, begin, rows) }
          const fed = this.only(evaluation, parts)
          const results = evaluation.run({ ...given, ...fed })
          tf.dispose(fed)
          return results
        })
        loss += (await take(out[LOSS])) * rows
        if (out[CORRECT] !== undefined) correct = (correct ?? 0) + (await take(out[CORRECT]))
      }
    } finally {
      tf.dispose(given)
    }
    return { loss: loss / total, ...(correct === undefined ? {} : { accuracy: correct / total }) }
  }

  /** No network that this engine trains has estimated statistics: those come with rounding. */
  async estimate(): Promise<ReadonlyMap<string, Float32Array>> {
    return new Map()
  }

  async dispose(): Promise<void> {
    await this.feeder.close()
    for (const { program } of this.steppers.values()) program.dispose()
    this.evaluation?.dispose()
    // Of a run that was stopped.
    for (const { loss } of this.pending.splice(0)) loss.dispose()
    tf.dispose(this.held)
    this.steppers.clear()
    this.held = {}
  }

  /** Puts what is trained on the backend. */
  private upload(): void {
    this.stepper({ rows: this.options.batchSize, before: 0, last: true })
    for (const [name, shape] of this.weights.shapes())
      this.held[name] = tf.tensor(this.weights.values(name).slice(), [...shape])
  }

  /** Brings what it came to back; gradients that were summed are spent. */
  private async download(): Promise<void> {
    for (const [name] of this.weights.shapes()) this.weights.set(name, (await this.held[name]?.data()) as Float32Array)
    const known = new Set(this.weights.shapes().map(([name]) => name))
    for (const [name, tensor] of Object.entries(this.held)) {
      if (known.has(name)) continue
      tensor.dispose()
      delete this.held[name]
    }
  }

  /** Runs a step's graph: what it changes takes the place of what was there. Returns its loss. */
  private run({ program, step: { carried } }: Stepper, feeds: Tensors): tf.Tensor {
    const fed = this.only(program, feeds)
    const out = program.run({ ...this.only(program, this.held, false), ...fed })
    tf.dispose(fed)
    for (const [name, next] of carried) {
      this.held[name]?.dispose()
      this.held[name] = out[next] as tf.Tensor
    }
    return out[LOSS] as tf.Tensor
  }

  private stepper(stepPart: StepPart): Stepper {
    const softTargets = this.feeder.targets.dtype === 'float32'
    const key = JSON.stringify(stepPart)
    const known = this.steppers.get(key)
    if (known !== undefined) return known
    const order = { ...this.options, softTargets, frozen: (name: string) => this.weights.frozenValues(name) }
    const { model, ...step } = trainingGraph(order, stepPart)
    const stepper = { program: new Program(model as Model), step }
    this.steppers.set(key, stepper)
    return stepper
  }

  /** The rows and targets of one batch. */
  private batch(rows: number, fill: (step: number, inputs: never, targets: never) => void): Tensors {
    const { inputs, targets } = this.feeder
    const from = new ARRAYS[inputs.dtype](rows * elements(inputs.shape))
    const wanted = new ARRAYS[targets.dtype](rows * elements(targets.shape))
    fill(0, from as never, wanted as never)
    return {
      [FEED.rows]: tensorOf({ dtype: inputs.dtype, shape: [rows, ...inputs.shape], data: from } as Tensor),
      [FEED.targets]: tensorOf({ dtype: targets.dtype, shape: [rows, ...targets.shape], data: wanted } as Tensor),
    }
  }

  /** What a step is fed beside its batch: its number, the learning rate, and random numbers of its own. */
  private numbers({ step: { masks } }: Stepper, step: number, before: number, rate: number): Tensors {
    const { seed } = this.options
    const mask = (spec: Mask, place: number): [string, tf.Tensor] => {
      const filled = new Float32Array(elements(spec.shape))
      fillMask(filled, spec, { seed, step, part: before, place })
      return [spec.name, tf.tensor(filled, [...spec.shape])]
    }
    return {
      [FEED.learningRate]: tf.scalar(rate),
      [FEED.step]: tf.scalar(step, 'int32'),
      ...Object.fromEntries(masks.map(mask)),
    }
  }

  /** Reads losses, and lets timers and signals have their turn: some backends compute without ever waiting. */
  private async read(): Promise<TrainedBatch[]> {
    await new Promise((resolve) => setImmediate(resolve))
    const pending = this.pending.splice(0)
    const losses = await Promise.all(pending.map(({ loss }) => take(loss)))
    return pending.map(({ rows, step }, at) => ({ loss: losses[at] as number, rows, step }))
  }

  /** Those tensors that a program takes; the others are disposed, where they are this call's to dispose. */
  private only({ inputs }: Program, tensors: Tensors, disposes = true): Tensors {
    const entries = Object.entries(tensors)
    if (disposes) for (const [name, tensor] of entries) if (!inputs.has(name)) tensor.dispose()
    return Object.fromEntries(entries.filter(([name]) => inputs.has(name)))
  }
}

async function take(scalar: tf.Tensor | undefined): Promise<number> {
  const [value = Number.NaN] = (await scalar?.data()) ?? []
  scalar?.dispose()
  return Number(value)
}

/** Some rows of a tensor. */
function part({ dtype, shape, data }: Tensor, begin: number, rows: number): tf.Tensor {
  const width = elements(shape.slice(1))
  const numbers = (data as Float32Array).slice(begin * width, (begin + rows) * width)
  return tensorOf({ dtype, shape: [rows, ...shape.slice(1)], data: numbers } as Tensor)
}
