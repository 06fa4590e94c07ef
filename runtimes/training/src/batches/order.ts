import { shuffled } from '../random.js'
import { BATCH_STREAM, PlaceRandom } from './random.js'

type Labels = ArrayLike<number>

/** The rows of each class that has any, in their order. */
function byClass(labels: Labels): number[][] {
  const classes = new Map<number, number[]>()
  for (let row = 0; row < labels.length; row++) {
    const label = labels[row] as number
    const rows = classes.get(label)
    if (rows === undefined) classes.set(label, [row])
    else rows.push(row)
  }
  return [...classes].sort(([a], [b]) => a - b).map(([, rows]) => rows)
}

/** Rows of one epoch of oversampling: each class that has rows is as large as the largest. */
export function oversampledRows(labels: Labels): number {
  const classes = byClass(labels)
  return classes.length * classes.reduce((most, { length }) => Math.max(most, length), 0)
}

/**
 * The rows of one epoch of oversampling, in random order: every class equally often, and within a class every row
 * equally often or once more; which rows those are is drawn anew each epoch.
 */
export function oversampled(labels: Labels, seed: number, epoch: number): Uint32Array {
  const classes = byClass(labels)
  const most = classes.reduce((size, { length }) => Math.max(size, length), 0)
  const all = new Uint32Array(classes.length * most)
  const random = new PlaceRandom()
  for (const [place, rows] of classes.entries()) {
    random.begin(seed, BATCH_STREAM.oversample, epoch, place)
    for (let at = rows.length - 1; at > 0; at--) {
      const other = random.below(at + 1)
      const kept = rows[at] as number
      rows[at] = rows[other] as number
      rows[other] = kept
    }
    for (let n = 0; n < most; n++) all[place * most + n] = rows[n % rows.length] as number
  }
  return shuffled(all.length, seed, epoch).map((at) => all[at] as number)
}

/**
 * Weights of the loss by class, rows / (classes * rows of the class), of the classes that have rows; 0 for one that has
 * none. Their mean over the rows is 1, so that the loss keeps its size.
 */
export function classWeights(labels: Labels, classes: number): Float32Array {
  const counts = new Float64Array(classes)
  for (let row = 0; row < labels.length; row++) {
    const label = labels[row] as number
    counts[label] = (counts[label] as number) + 1
  }
  const present = counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0)
  return Float32Array.from(counts, (count) => (count > 0 ? labels.length / (present * count) : 0))
}
