import type { Augment, Balance } from '@tideway/core'
import { shuffled } from '../random.js'
import { Augmenter, type RowsArray } from './augment/augmenter.js'
import { drawMix, type MixupOptions, mixClasses, mixRows } from './augment/mixup.js'
import type { Geometry } from './geometry.js'
import { oversampled, oversampledRows } from './order.js'
import { BATCH_STREAM, PlaceRandom } from './random.js'

export type Numbers = Float32Array | Uint8Array | Int32Array

/** Rows and their targets, row after row. */
export interface Source {
  readonly rows: number
  readonly inputs: RowsArray
  readonly targets: Numbers
}

/** What batches are made by; with the source, all that a worker needs (plain data). */
export interface Recipe {
  readonly seed: number
  readonly batchSize: number
  readonly stepsARun: number
  readonly balance: Balance
  readonly augment: Augment
  /** Needed where `augment` has other steps than mixup. */
  readonly geometry: Geometry | undefined
  /** How many classes there are, where the targets are class indices. */
  readonly classes: number | undefined
}

export const mixupOf = (augment: Augment): MixupOptions | undefined => augment.find((step) => step.type === 'mixup')

/** Rows of one epoch. */
export function epochRows({ rows, targets }: Source, { balance }: Recipe): number {
  return balance === 'oversample' ? oversampledRows(targets) : rows
}

/** Makes batches: what it writes is a function of the source, the recipe, the epoch and the place in it alone. */
export class Assembler {
  private readonly width: number
  private readonly targetWidth: number
  private readonly augmenter: Augmenter | undefined
  private readonly mixup: MixupOptions | undefined
  private readonly random = new PlaceRandom()
  private readonly from: { readonly inputs: Buffer; readonly targets: Buffer }
  private order: Uint32Array = new Uint32Array(0)
  private epoch = -1
  /** A batch before it is mixed. */
  private plain: { inputs: RowsArray; targets: Numbers } | undefined

  constructor(
    private readonly source: Source,
    private readonly recipe: Recipe,
  ) {
    const { inputs, targets, rows } = source
    this.width = inputs.length / rows
    this.targetWidth = targets.length / rows
    const steps = recipe.augment.filter((step) => step.type !== 'mixup')
    if (steps.length > 0 && recipe.geometry !== undefined)
      this.augmenter = new Augmenter(steps, recipe.geometry, inputs instanceof Uint8Array)
    this.mixup = mixupOf(recipe.augment)
    this.from = { inputs: bytesOf(inputs), targets: bytesOf(targets) }
  }

  /** Writes the batch of so many rows from place `begin` of an epoch on to the beginning of both arrays. */
  fill(epoch: number, begin: number, rows: number, inputs: RowsArray, targets: Numbers): void {
    if (this.epoch !== epoch) {
      const { seed, balance } = this.recipe
      this.order =
        balance === 'oversample'
          ? oversampled(this.source.targets, seed, epoch)
          : shuffled(this.source.rows, seed, epoch)
      this.epoch = epoch
    }
    this.gather(begin, rows, inputs)
    if (this.mixup === undefined) this.gatherTargets(begin, rows, targets)
    else this.mix(this.mixup, begin, rows, inputs, targets)
  }

  private gather(begin: number, rows: number, inputs: RowsArray): void {
    const { augmenter, width, order, random, source } = this
    if (augmenter === undefined) return copyRows(this.from.inputs, inputs, width, order, begin, rows)
    for (let row = 0; row < rows; row++) {
      random.begin(this.recipe.seed, BATCH_STREAM.row, this.epoch, begin + row)
      augmenter.apply(source.inputs, (order[begin + row] as number) * width, inputs, row * width, random)
    }
  }

  private gatherTargets(begin: number, rows: number, targets: Numbers): void {
    copyRows(this.from.targets, targets, this.targetWidth, this.order, begin, rows)
  }

  private mix(mixup: MixupOptions, begin: number, rows: number, inputs: RowsArray, targets: Numbers): void {
    const { width, targetWidth, source, recipe } = this
    const used = rows * width
    if (this.plain === undefined || this.plain.inputs.length < used)
      this.plain = { inputs: alike(source.inputs, used), targets: alike(source.targets, rows * targetWidth) }
    const { plain } = this
    for (let at = 0; at < used; at++) plain.inputs[at] = inputs[at] as number
    this.gatherTargets(begin, rows, plain.targets)
    const mix = drawMix(rows, mixup, this.random.begin(recipe.seed, BATCH_STREAM.mixup, this.epoch, begin))
    mixRows(inputs, plain.inputs, width, mix)
    if (recipe.classes === undefined) mixRows(targets as Float32Array, plain.targets as Float32Array, targetWidth, mix)
    else mixClasses(targets as Float32Array, plain.targets, recipe.classes, mix)
  }
}

function alike<A extends Numbers>(like: A, length: number): A {
  return new (like.constructor as new (length: number) => A)(length)
}

/** Copying between buffers makes no object a row, as `subarray` would. */
function bytesOf(numbers: Numbers): Buffer {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength)
}

function copyRows(from: Buffer, into: Numbers, width: number, order: Uint32Array, begin: number, rows: number): void {
  const to = bytesOf(into)
  const bytes = width * into.BYTES_PER_ELEMENT
  for (let row = 0; row < rows; row++) {
    const at = (order[begin + row] as number) * bytes
    from.copy(to, row * bytes, at, at + bytes)
  }
}
