import type { PlaceRandom } from '../random.js'
import { type RowsArray, toByte } from './augmenter.js'

export interface MixupOptions {
  readonly alpha: number
  readonly probability?: number | undefined
}

/** Each row's partner (a random permutation of the batch) and own share. */
export interface Mix {
  readonly partner: Uint32Array
  readonly share: Float64Array
}

/** Draws a batch's mix. */
export function drawMix(rows: number, { alpha, probability = 1 }: MixupOptions, random: PlaceRandom): Mix {
  const partner = Uint32Array.from({ length: rows }, (_, row) => row)
  for (let at = rows - 1; at > 0; at--) {
    const other = random.below(at + 1)
    const kept = partner[at] as number
    partner[at] = partner[other] as number
    partner[other] = kept
  }
  // No closure a row, and both draws whatever comes of the first.
  const share = new Float64Array(rows)
  for (let row = 0; row < rows; row++) {
    const applied = random.uniform() < probability
    const drawn = random.beta(alpha)
    share[row] = applied ? drawn : 1
  }
  return { partner, share }
}

/** Mixes rows of a width in place; `copy` holds the same rows and is only read. */
export function mixRows(rows: RowsArray, copy: RowsArray, width: number, { partner, share }: Mix): void {
  const whole = rows instanceof Uint8Array
  for (let row = 0; row < partner.length; row++) {
    const own = share[row] as number
    const other = (partner[row] as number) * width
    for (let n = 0, at = row * width; n < width; n++, at++) {
      const mixed = (copy[at] as number) * own + (copy[other + n] as number) * (1 - own)
      rows[at] = whole ? toByte(mixed) : mixed
    }
  }
}

/** Targets [rows, classes] of mixed rows: the shares of the two classes, which add up to 1. */
export function mixClasses(
  into: Float32Array,
  labels: ArrayLike<number>,
  classes: number,
  { partner, share }: Mix,
): void {
  into.fill(0, 0, partner.length * classes)
  for (let row = 0; row < partner.length; row++) {
    const own = share[row] as number
    const add = (label: number, part: number): void => {
      const at = row * classes + label
      into[at] = (into[at] as number) + part
    }
    add(labels[row] as number, own)
    add(labels[partner[row] as number] as number, 1 - own)
  }
}
