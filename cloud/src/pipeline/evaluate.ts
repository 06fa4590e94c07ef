import { elementCount, type Session, type Tensor, type Tensors } from '@tideway/core'
import type { Part } from './split.js'

/** Rows a session is given at once, here and for the baseline. */
export const EVALUATION_BATCH_ROWS = 256

export interface Evaluation {
  /** Share of rows whose largest output is the target class; for class targets. */
  readonly accuracy?: number
  /** Mean over all output values; for value targets. */
  readonly meanSquaredError?: number
  /**
   * Share of the targets' variance that the outputs explain, over all values: 1 is exact, 0 what the means of the targets
   * would reach (the coefficient of determination). For value targets that vary.
   */
  readonly explained?: number
}

/** Rows `from` to `to` of a tensor, without copying. */
export function rowsOf(tensor: Part['inputs'], from: number, to: number): Part['inputs'] {
  const width = elementCount(tensor.shape.slice(1))
  return {
    dtype: 'float32',
    shape: [to - from, ...tensor.shape.slice(1)],
    data: tensor.data.subarray(from * width, to * width),
  }
}

/** Runs all rows through a session, in batches. */
export async function* runInBatches(
  session: Session,
  inputs: Part['inputs'],
): AsyncGenerator<{ from: number; inputs: Tensors; outputs: Tensors; milliseconds: number }> {
  const name = session.signature.inputs[0]!.name
  const rows = inputs.shape[0] ?? 0
  for (let from = 0; from < rows; from += EVALUATION_BATCH_ROWS) {
    const batch = { [name]: rowsOf(inputs, from, Math.min(rows, from + EVALUATION_BATCH_ROWS)) }
    const begin = performance.now()
    const outputs = await session.run(batch)
    yield { from, inputs: batch, outputs, milliseconds: performance.now() - begin }
  }
}

/** The index of the largest of `width` values from `start`; the first of equals. */
export function argmax(values: ArrayLike<number>, start: number, width: number): number {
  let best = 0
  for (let i = 1; i < width; i += 1) if (values[start + i]! > values[start + best]!) best = i
  return best
}

/**
 * Accuracy (class targets, one number a row), or mean squared error and share of variance explained (float32 targets), of
 * a model on rows.
 */
export async function evaluate(session: Session, part: Part): Promise<Evaluation> {
  const rows = part.inputs.shape[0] ?? 0
  const classes = part.targets.dtype !== 'float32'
  const targets = numbersOf(part.targets)
  let sum = 0
  let count = 0
  for await (const { from, outputs } of runInBatches(session, part.inputs)) {
    const output = outputs[session.signature.outputs[0]!.name]!
    const values = numbersOf(output)
    const width = elementCount(output.shape.slice(1))
    if (classes) {
      for (let i = 0; i * width < values.length; i += 1)
        if (argmax(values, i * width, width) === targets[from + i]) sum += 1
      count = rows
    } else {
      for (let i = 0; i < values.length; i += 1) sum += (values[i]! - targets[from * width + i]!) ** 2
      count += values.length
    }
  }
  if (classes) return { accuracy: sum / count }
  const meanSquaredError = sum / count
  const variance = varianceOf(targets, rows)
  return { meanSquaredError, ...(variance > 0 && { explained: 1 - meanSquaredError / variance }) }
}

/** Of values [rows, any] about the mean of their column; 0 without rows. */
function varianceOf(values: ArrayLike<number>, rows: number): number {
  const width = rows === 0 ? 0 : values.length / rows
  let squares = 0
  for (let column = 0; column < width; column += 1) {
    let sum = 0
    for (let i = column; i < values.length; i += width) sum += values[i]!
    const mean = sum / rows
    for (let i = column; i < values.length; i += width) squares += (values[i]! - mean) ** 2
  }
  return squares / Math.max(1, values.length)
}

function numbersOf(tensor: Tensor): ArrayLike<number> {
  if (tensor.dtype === 'string') return tensor.data.map(Number)
  if (tensor.data instanceof BigInt64Array || tensor.data instanceof BigUint64Array)
    return Array.from(tensor.data, Number)
  return tensor.data
}
