import type { Runtime, TrainData } from '@tideway/core'
import { type Pruned, pruneModel } from '@tideway/onnx'
import { importTrainable, weightImportance } from '@tideway/trainer-onnx'
import { type Lessons, retrain } from './retrain.js'
import type { Rows } from './rows.js'

/** `norm`: mean magnitude of a channel's weights, within its layer; `taylor`: what the loss would lose without it. */
export const IMPORTANCES = ['norm', 'taylor'] as const
export type Importance = (typeof IMPORTANCES)[number]

export interface SlimOrder {
  readonly float: Uint8Array
  /** The share of channels to remove. */
  readonly share: number
  readonly importance: Importance
  /** Labelled rows that `taylor` measures with. */
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
  const by = importance === 'norm' ? 'l1' : { importance: await taylor(float, lessons?.rows ?? order.rows) }
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

async function taylor(float: Uint8Array, { inputs, targets }: Rows): Promise<Record<string, Float32Array>> {
  const [input] = Object.values(inputs)
  const { lastActivation } = importTrainable(float)
  const loss =
    targets?.dtype === 'int32'
      ? 'softmaxCrossEntropy'
      : lastActivation === 'sigmoid'
        ? 'sigmoidCrossEntropy'
        : 'meanSquaredError'
  return weightImportance(float, { inputs: input, targets } as TrainData, { loss })
}
