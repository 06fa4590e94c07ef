import type { Runtime } from '@tideway/core'
import { type Pruned, pruneModel } from '@tideway/onnx'
import { weightImportance } from '@tideway/trainer-onnx'
import { type Lessons, onlyInput, retrain, taskOf } from './retrain.js'
import type { Rows } from './rows.js'

/** `norm`: mean magnitude of a channel's weights, within its layer; `taylor`: what the loss would lose without it. */
export const IMPORTANCES = ['norm', 'taylor'] as const
export type Importance = (typeof IMPORTANCES)[number]

export interface SlimOrder {
  readonly float: Uint8Array
  /** The share of channels to remove. */
  readonly share: number
  readonly importance: Importance
  /** Rows that `taylor` measures with: by their labels, or by the model's own answers. */
  readonly rows: Rows
  /** Trains what is left; without it nothing is trained. */
  readonly lessons?: Lessons | undefined
  readonly runtime: Runtime
}

export interface Slim extends Pick<Pruned, 'layers' | 'parameters' | 'kept'> {
  readonly onnx: Uint8Array
  /** What was done, in words for a person. */
  readonly what: string
}

/**
 * The float model without its least channels, trained further beside the whole one where there are rows for it. Throws
 * what `pruneModel`, `weightImportance` and the trainer throw.
 */
export async function slimmed(order: SlimOrder): Promise<Slim> {
  const { float, share, importance, lessons, runtime } = order
  const by = importance === 'norm' ? 'l1' : { importance: await taylor(float, lessons?.rows ?? order.rows, runtime) }
  const { onnx: pruned, ...facts } = pruneModel(float, { ratio: share, by })
  const onnx = lessons === undefined ? pruned : (await retrain(pruned, { ...lessons, teacher: float, runtime })).onnx
  const removed = `${percent(share)} of channels removed by ${importance === 'norm' ? 'the norm of their weights' : 'what the loss would lose'}`
  const trained =
    lessons === undefined
      ? 'not trained afterwards (no --train)'
      : `trained ${lessons.epochs} epochs beside the whole model`
  return { onnx, ...facts, what: `${removed}, ${trained}` }
}

const percent = (share: number): string => `${Math.round(1000 * share) / 10}%`

async function taylor(float: Uint8Array, rows: Rows, runtime: Runtime): Promise<Record<string, Float32Array>> {
  const inputs = onlyInput(rows)
  const { loss, targets } = await taskOf(rows, float, runtime)
  return weightImportance(float, { inputs, targets }, { loss })
}
