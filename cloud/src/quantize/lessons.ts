import type { Signature } from '@tideway/core'
import { checkCalibration } from '@tideway/onnx'
import { cloudErrors } from '../errors.js'
import { AWARE } from './ladder.js'
import type { QuantizeOrder } from './order.js'
import type { Lessons } from './retrain.js'
import { readRows } from './rows.js'

const EPOCHS = 10
const LEARNING_RATE = 0.001

/** Throws `QUANTIZE_ORDER_INVALID` for options about pruning and training that have nothing to do. */
export function checkTraining(order: QuantizeOrder): void {
  const { prune, importance, train, recipe, calibrate, data } = order
  const issues: string[] = []
  const hasRows = calibrate !== undefined || data !== undefined
  if (prune !== undefined && !hasRows)
    issues.push('--prune needs rows to judge by: name them with --calibrate or --data')
  if (train !== undefined && !hasRows)
    issues.push('--train needs others to judge by: name them with --calibrate or --data')
  if (recipe === AWARE && train === undefined)
    issues.push(`--recipe ${AWARE} needs rows to train on: name them with --train`)
  if (importance !== undefined && prune === undefined) issues.push('--importance is for --prune')
  if (train === undefined) {
    if (order.epochs !== undefined) issues.push('--epochs is for --train')
    if (order.learningRate !== undefined) issues.push('--learning-rate is for --train')
  }
  const trains = recipe === 'auto' || recipe === AWARE || prune !== undefined
  if (train !== undefined && !trains)
    issues.push(`--train: --recipe ${recipe} trains nothing; it is for --prune, ${AWARE} and auto`)
  if (issues.length > 0) throw cloudErrors.QUANTIZE_ORDER_INVALID({ issues })
}

/** What an order trains on; undefined for one that trains nothing. */
export async function lessonsOf(order: QuantizeOrder, signature: Signature): Promise<Lessons | undefined> {
  if (order.train === undefined) return undefined
  const rows = await readRows({ ...order, path: order.train, signature })
  checkCalibration(signature, rows.inputs, () => false)
  return {
    rows,
    epochs: order.epochs ?? EPOCHS,
    learningRate: order.learningRate ?? LEARNING_RATE,
    seed: order.seed,
  }
}
