import type { AugmentStep } from '@tideway/core'
import type { Geometry } from '../geometry.js'
import type { PlaceRandom } from '../random.js'
import { type Affine, type Border, compose, IDENTITY, resample } from './affine.js'
import { CHANGES, type ChangeType, type Row } from './changes.js'
import { borderOf, MOVES, type MoveType } from './moves.js'

export type RowsArray = Float32Array | Uint8Array

const isMove = (step: AugmentStep): step is Extract<AugmentStep, { readonly type: MoveType }> => step.type in MOVES
const isChange = (step: AugmentStep): step is Extract<AugmentStep, { readonly type: ChangeType }> =>
  step.type in CHANGES

/**
 * Applies the steps on single rows, in float32. Moves that follow one another are one map and one interpolation, as long
 * as they have the same border; a value is rounded once, when the row is written.
 */
export class Augmenter {
  private row: Row
  private spare: Float32Array
  private map: Affine = IDENTITY
  private border: Border | undefined

  constructor(
    private readonly steps: readonly AugmentStep[],
    private readonly geometry: Geometry,
    private readonly whole: boolean,
  ) {
    const values = geometry.height * geometry.width * geometry.channels
    this.row = { values: new Float32Array(values), geometry, fullScale: whole ? 255 : 1 }
    this.spare = new Float32Array(values)
  }

  /** Writes the row that begins at `from[at]`, changed by the numbers of `random`, to `to[place]` on. */
  apply(from: RowsArray, at: number, to: RowsArray, place: number, random: PlaceRandom): void {
    const before = this.row.values
    const { length } = before
    for (let n = 0; n < length; n++) before[n] = from[at + n] as number
    for (const step of this.steps) {
      if (step.probability !== undefined && random.uniform() >= step.probability) continue
      if (isMove(step)) this.move(step, random)
      else if (isChange(step)) {
        this.settle()
        const change = CHANGES[step.type] as (step: AugmentStep, row: Row, random: PlaceRandom) => void
        change(step, this.row, random)
      }
    }
    this.settle()
    const { values } = this.row
    if (this.whole) for (let n = 0; n < length; n++) to[place + n] = toByte(values[n] as number)
    else to.set(values, place)
  }

  /** Keeps a step's map, to be done with those that follow. */
  private move(step: Extract<AugmentStep, { readonly type: MoveType }>, random: PlaceRandom): void {
    const border = borderOf(step)
    if (border !== undefined) {
      const same = this.border?.mode === border.mode && this.border.value === border.value
      if (this.border !== undefined && !same) this.settle()
      this.border = border
    }
    const draw = MOVES[step.type] as (step: AugmentStep, geometry: Geometry, random: PlaceRandom) => Affine
    this.map = compose(this.map, draw(step, this.geometry, random))
  }

  /** Does the moves that are still to be done. */
  private settle(): void {
    if (this.map.some((value, place) => value !== IDENTITY[place])) {
      const { values } = this.row
      resample(values, this.spare, this.geometry, this.map, this.border ?? { mode: 'nearest', value: 0 })
      this.row = { ...this.row, values: this.spare }
      this.spare = values
    }
    this.map = IDENTITY
    this.border = undefined
  }
}

/** Rounds half up and clips; NaN cannot come of bytes. */
export function toByte(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : (value + 0.5) | 0
}
