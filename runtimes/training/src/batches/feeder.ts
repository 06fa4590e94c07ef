import { availableParallelism } from 'node:os'
import type { Augment, Balance, TrainData } from '@tideway/core'
import { Assembler, epochRows, mixupOf, type Numbers, type Recipe, type Source } from './assembler.js'
import type { RowsArray } from './augment/augmenter.js'
import type { Geometry } from './geometry.js'
import { plan } from './plan.js'
import { Pool } from './pool.js'
import { shared } from './ring.js'

export interface FeederOptions {
  /** inputs float32 or uint8, targets float32, int32 or uint8; checked before (`augmentIssues`). */
  readonly train: TrainData
  readonly batchSize: number
  /** Batches that are handed over together. */
  readonly stepsARun: number
  readonly seed: number
  readonly augment?: Augment
  readonly balance?: Balance
  /** Of one row; needed where `augment` has steps on rows. */
  readonly geometry?: Geometry | undefined
  /** How many classes there are, where the targets are class indices [rows]. */
  readonly classes?: number | undefined
  /** Threads that make batches; 0 makes them on the caller's. What they hold is the same for any number. */
  readonly workers?: number
  /** The worker thread's program; another one only in tests. */
  readonly entry?: URL
}

/** Some steps of one size, in the order in which they are to be trained. */
export interface Steps {
  readonly rows: number
  readonly steps: number
  /**
   * Writes the batch of a step, 0 to `steps` - 1, to the beginning of arrays of the feeder's types. Once for each step,
   * in order, and before the next `Steps` are asked for.
   */
  readonly fill: (step: number, inputs: RowsArray, targets: Numbers) => void
}

/** Makes the batches of one epoch after the other. */
export interface Feeder {
  /** Rows and steps of one epoch; more than the data's with balance `oversample`. */
  readonly rows: number
  readonly steps: number
  /** What a batch's inputs are: the data's. */
  readonly inputs: { readonly dtype: 'float32' | 'uint8'; readonly shape: readonly number[] }
  /** What a batch's targets are: the data's, but float32 [classes] for classes that are mixed. */
  readonly targets: { readonly dtype: 'float32' | 'int32' | 'uint8'; readonly shape: readonly number[] }
  /** Threads that make batches. */
  readonly workers: number
  /**
   * The steps of an epoch, counted from 0. One epoch after the other is made ahead; any other order is allowed and
   * starts anew. Throws `BATCH_WORKER_FAILED` when a thread ended by itself. One epoch at a time.
   */
  epoch(epoch: number): AsyncGenerator<Steps>
  /** Ends the threads; also in the middle of an epoch. */
  close(): Promise<void>
}

/** Below so many values an epoch is augmented in less time than a thread takes to start. */
const SMALL_AUGMENTED = 2 ** 20
/**
 * The same for rows that are only copied. From a thread's memory they are copied once more (ONNX Runtime takes no shared
 * memory), but one after the other, which took a sixth of the time that rows from all over a large data set did.
 */
const SMALL_COPIED = 2 ** 24
/** More threads than this outrun any training step that we know. */
const MAX_WORKERS = 4

/**
 * Opens the batches of a training run: rows in the order of (seed, epoch), augmented and mixed by (seed, epoch, place).
 * Nothing is made, and no thread started, before the first epoch is asked for.
 *
 * @example
 * const feeder = openFeeder({ train, batchSize: 64, stepsARun: 8, seed: 1 })
 * for await (const { rows, steps, fill } of feeder.epoch(0)) for (let at = 0; at < steps; at++) fill(at, inputs, targets)
 * await feeder.close()
 */
export function openFeeder(options: FeederOptions): Feeder {
  return new RowFeeder(options)
}

/** One thread less than there are cores; rows that are only copied keep no more than one busy. */
function workersFor(values: number, augment: Augment): number {
  const [small, most] = augment.length > 0 ? [SMALL_AUGMENTED, MAX_WORKERS] : [SMALL_COPIED, 1]
  return values < small ? 0 : Math.min(availableParallelism() - 1, most)
}

class RowFeeder implements Feeder {
  readonly rows: number
  readonly steps: number
  readonly inputs: Feeder['inputs']
  readonly targets: Feeder['targets']
  readonly workers: number
  private readonly source: Source
  private readonly recipe: Recipe
  private readonly parts: ReturnType<typeof plan>
  private readonly width: number
  private readonly targetWidth: number
  private pool: { readonly pool: Pool; next: number | undefined } | undefined
  private here: Assembler | undefined

  constructor(private readonly options: FeederOptions) {
    const { train, batchSize, stepsARun, seed, augment = [], balance = 'none', geometry, classes } = options
    this.source = {
      rows: train.inputs.shape[0] ?? 0,
      inputs: train.inputs.data as RowsArray,
      targets: train.targets.data as Numbers,
    }
    this.recipe = { seed, batchSize, stepsARun, balance, augment, geometry, classes }
    this.rows = epochRows(this.source, this.recipe)
    this.parts = plan(this.rows, batchSize, stepsARun)
    this.steps = this.parts.reduce((sum, { steps }) => sum + steps, 0)
    this.width = this.source.inputs.length / this.source.rows
    const mixed = mixupOf(augment) !== undefined && classes !== undefined
    this.targetWidth = mixed ? classes : this.source.targets.length / this.source.rows
    this.inputs = { dtype: train.inputs.dtype as 'float32', shape: train.inputs.shape.slice(1) }
    this.targets = mixed
      ? { dtype: 'float32', shape: [classes] }
      : { dtype: train.targets.dtype as 'float32', shape: train.targets.shape.slice(1) }
    this.workers = options.workers ?? workersFor(this.rows * this.width, augment)
  }

  epoch(epoch: number): AsyncGenerator<Steps> {
    return this.workers === 0 ? this.assembled(epoch) : this.handed(epoch)
  }

  async close(): Promise<void> {
    const { pool } = this
    this.pool = undefined
    await pool?.pool.close()
  }

  /** On this thread, each batch straight to where it is wanted. */
  private async *assembled(epoch: number): AsyncGenerator<Steps> {
    this.here ??= new Assembler(this.source, this.recipe)
    const assembler = this.here
    for (const { rows, steps, begin } of this.parts)
      yield {
        rows,
        steps,
        fill: (step, inputs, targets) => assembler.fill(epoch, begin + step * rows, rows, inputs, targets),
      }
  }

  /** From the workers' memory, in their turn. */
  private async *handed(epoch: number): AsyncGenerator<Steps> {
    if (this.pool?.next !== epoch) {
      await this.close()
      this.pool = { pool: this.start(epoch), next: undefined }
    }
    const current = this.pool
    // Until the last part is used, what the workers make next is not the next epoch.
    current.next = undefined
    for (const [place, { rows, steps }] of this.parts.entries()) {
      const made = await current.pool.part(place)
      yield {
        rows,
        steps,
        fill: (step, inputs, targets) => {
          copy(made.inputs, step * rows * this.width, inputs, rows * this.width)
          copy(made.targets, step * rows * this.targetWidth, targets, rows * this.targetWidth)
        },
      }
      current.pool.release(place)
    }
    current.next = epoch + 1
  }

  private start(epoch: number): Pool {
    const { source, options, recipe } = this
    const task = { ...source, inputs: shared(source.inputs), targets: shared(source.targets) }
    const like = {
      inputs: source.inputs,
      targets: this.targets.dtype === 'float32' ? new Float32Array(0) : source.targets,
    }
    const most = this.parts.reduce((size, { rows, steps }) => Math.max(size, rows * steps), 0)
    return new Pool(
      task,
      recipe,
      like,
      { inputs: most * this.width, targets: most * this.targetWidth },
      {
        workers: this.workers,
        epoch,
        ...(options.entry === undefined ? {} : { entry: options.entry }),
      },
    )
  }
}

function copy(from: Numbers, begin: number, to: Numbers, length: number): void {
  to.set(from.subarray(begin, begin + length))
}
