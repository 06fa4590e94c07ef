import type { Tensor } from '@tideway/core'
import { cloudErrors } from '../errors.js'
import { argmax } from '../pipeline/evaluate.js'
import type { Answer } from './batches.js'
import { type Interval, pairedLoss } from './intervals.js'

/**
 * What a model's answers are held against. `classes`: the share of rows whose class is right. `values`: the share of the
 * targets' variance that is explained. `agreement`: the share of rows that get the float model's class, and `likeness`: the
 * share of the variance of the float model's outputs that is explained, where there are no labels.
 */
export type Measure = 'classes' | 'values' | 'agreement' | 'likeness'

export interface Judgement {
  /** 1 is exact. */
  readonly score: number
  /** The float model's score less this one; below 0 where this is better. */
  readonly loss: number
  /** Of the loss, 95%, where rows are counted. */
  readonly interval?: Interval
  /** Rows that the float model had right and this one has not, and the other way round. */
  readonly broken?: number
  readonly mended?: number
  /** The class of each row, where there are classes. */
  readonly predicted?: Int32Array
}

export interface Judge {
  readonly measure: Measure
  readonly rows: number
  readonly classes: number
  /** The class that each row has, by label or by the float model; empty where there are none. */
  readonly wanted: Int32Array
  readonly float: Judgement
  /** Why targets that are there are not used, in plain words. */
  readonly notes?: readonly string[]
  judge(answers: readonly Answer[]): Judgement
}

/**
 * A judge of the same rows. `targets` are int32 classes [rows] or float32 values [rows, width]; without them, or with
 * values that do not vary, the float model's answers count. Throws `DATA_INVALID` where they do not fit the model or are not
 * finite, or the float model's own answers are not finite.
 */
export function createJudge(float: readonly Answer[], targets: Tensor | undefined): Judge {
  const [first] = float
  if (first === undefined) throw cloudErrors.DATA_INVALID({ issues: ['the model gives no numbers to judge by'] })
  const rows = first.width === 0 ? 0 : first.data.length / first.width
  const lost = float.flatMap(({ data, width, name }) => {
    const at = data.findIndex((value) => !Number.isFinite(value))
    return at < 0
      ? []
      : [`row ${Math.floor(at / width)}: the model itself answers with a number that is not finite (${name})`]
  })
  if (lost.length > 0) throw cloudErrors.DATA_INVALID({ issues: lost })
  if (targets?.dtype === 'int32') return classJudge('classes', first, targets.data, rows)
  const notes: string[] = []
  if (targets !== undefined) {
    const wanted = Float64Array.from(targets.data as ArrayLike<number>)
    if (wanted.length !== first.data.length)
      throw cloudErrors.DATA_INVALID({
        issues: [`${wanted.length / rows} values to predict, but the model gives [${first.shape.join(', ')}]`],
      })
    const at = wanted.findIndex((value) => !Number.isFinite(value))
    if (at >= 0)
      throw cloudErrors.DATA_INVALID({
        issues: [`row ${Math.floor(at / first.width)}: a value to predict is not finite`],
      })
    if (variance(wanted, first.width) > 0) {
      const own = explained(first.data, wanted, first.width)
      return valueJudge('values', rows, own, ([answer]) => explained(answer?.data ?? [], wanted, first.width))
    }
    notes.push("the values to predict do not vary, which explains nothing: the float model's answers count instead")
  }
  if (isLikelihood(first)) return { ...classJudge('agreement', first, classesIn(first), rows), notes }
  const own = valueJudge('likeness', rows, 1, (answers) =>
    Math.min(...float.map(({ data, width }, at) => explained(answers[at]?.data ?? [], data, width))),
  )
  return { ...own, notes }
}

/** Whether labels say so little of the float model's classes that they may be others than it has. */
export const isHardlyChance = ({ measure, classes, float }: Judge): boolean =>
  measure === 'classes' && classes > 1 && float.score < 1.5 / classes

function valueJudge(
  measure: Measure,
  rows: number,
  own: number,
  scoreOf: (answers: readonly Answer[]) => number,
): Judge {
  const judge = (answers: readonly Answer[]): Judgement => {
    const score = scoreOf(answers)
    return { score, loss: own - score }
  }
  return { measure, rows, classes: 0, wanted: new Int32Array(0), float: { score: own, loss: 0 }, judge }
}

function classJudge(measure: Measure, float: Answer, wanted: Int32Array, rows: number): Judge {
  const before = classesIn(float)
  let right = 0
  for (let row = 0; row < rows; row += 1) if (before[row] === wanted[row]) right += 1
  const score = right / rows
  const judge = ([answer]: readonly Answer[]): Judgement => {
    const predicted = answer === undefined ? new Int32Array(rows).fill(-1) : classesIn(answer)
    let [broken, mended] = [0, 0]
    for (let row = 0; row < rows; row += 1) {
      const [was, is] = [before[row] === wanted[row], predicted[row] === wanted[row]]
      if (was && !is) broken += 1
      if (!was && is) mended += 1
    }
    const loss = (broken - mended) / rows
    return { score: score - loss, loss, interval: pairedLoss(broken, mended, rows), broken, mended, predicted }
  }
  const classes = float.isWhole
    ? Math.max(...[before, wanted].map((list) => list.reduce((most, value) => Math.max(most, value), 0))) + 1
    : float.width
  return { measure, rows, classes, wanted, float: { score, loss: 0, predicted: before }, judge }
}

/** The class of each row: what the output says, or its largest number; -1 for a row with a number that is not finite. */
function classesIn({ data, width, isWhole }: Answer): Int32Array {
  const rows = width === 0 ? 0 : data.length / width
  return Int32Array.from({ length: rows }, (_, row) => {
    if (isWhole && width === 1) return data[row] ?? -1
    const isFinite = data.subarray(row * width, (row + 1) * width).every(Number.isFinite)
    return isFinite ? argmax(data, row * width, width) : -1
  })
}

/** Whether every row is a class index, or the probabilities of two classes or more. */
function isLikelihood({ data, shape, width, isWhole }: Answer): boolean {
  if (isWhole) return width === 1
  if (width < 2 || shape.filter((size) => size > 1).length !== 1) return false
  for (let row = 0; row * width < data.length; row += 1) {
    let sum = 0
    for (const value of data.subarray(row * width, (row + 1) * width)) {
      if (value < 0) return false
      sum += value
    }
    if (Math.abs(sum - 1) > 0.01) return false
  }
  return true
}

/** Sum of squares about the mean of each column. */
function variance(values: ArrayLike<number>, width: number): number {
  const rows = values.length / Math.max(1, width)
  let squares = 0
  for (let column = 0; column < width; column += 1) {
    let sum = 0
    for (let at = column; at < values.length; at += width) sum += values[at]!
    const mean = sum / rows
    for (let at = column; at < values.length; at += width) squares += (values[at]! - mean) ** 2
  }
  return squares
}

/** The coefficient of determination over all values; minus infinity for answers that are missing or not finite. */
function explained(answers: ArrayLike<number>, wanted: ArrayLike<number>, width: number): number {
  if (answers.length !== wanted.length) return Number.NEGATIVE_INFINITY
  let noise = 0
  for (let at = 0; at < wanted.length; at += 1) noise += (answers[at]! - wanted[at]!) ** 2
  if (noise === 0) return 1
  const score = 1 - noise / variance(wanted, width)
  return Number.isFinite(score) ? score : Number.NEGATIVE_INFINITY
}
