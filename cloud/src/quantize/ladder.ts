import type { QuantizedModel, Recipe, Runtime, Scheme, Tensors } from '@tideway/core'
import { createInt8Quantizer, createQuantizer, type LayerReport, type LossGate } from '@tideway/onnx'
import { type Lessons, retrain } from './retrain.js'

export type Made = QuantizedModel & { readonly layers?: readonly LayerReport[] }

/** What a rung has to work with. */
export interface Ground {
  /** What is made smaller: the float model, or what pruning left of it. */
  readonly float: Uint8Array
  /** The float model as it was given. */
  readonly whole: Uint8Array
  readonly calibration: Tensors
  readonly runtime: Runtime
  /** Loss over rows of its own, for the choice of layers that stay in float. */
  readonly gate: LossGate
}

/** One way to a smaller model. */
export interface Rung {
  readonly id: string
  /** In words for a person. */
  readonly what: string
  /** Rungs of one family run the same operators: what is too slow once is too slow again. */
  readonly family: Scheme
  /** Takes value ranges from calibration rows. */
  readonly calibrates: boolean
  make(ground: Ground): Promise<Made>
}

const byRecipe = (id: string, what: string, recipe: Recipe): Rung => ({
  id,
  what,
  family: recipe.scheme,
  calibrates: recipe.scheme === 'fp16',
  make: ({ float, calibration, runtime }) =>
    createQuantizer().quantize(float, recipe.scheme === 'fp16' ? calibration : {}, runtime, recipe),
})

const static8: readonly Rung[] = [
  {
    id: 'int8-static',
    what: 'integers throughout, weights to the nearest',
    family: 'int8-static',
    calibrates: true,
    make: ({ float, calibration, runtime }) =>
      createInt8Quantizer({ equalize: false, rounding: 'nearest', correctBias: false }).quantize(
        float,
        calibration,
        runtime,
        { precision: 'int8' },
      ),
  },
  {
    id: 'int8-static-refined',
    what: 'with equalized channels, corrected biases, layers rounded as a whole',
    family: 'int8-static',
    calibrates: true,
    make: ({ float, calibration, runtime }) =>
      createInt8Quantizer().quantize(float, calibration, runtime, { precision: 'int8' }),
  },
  {
    id: 'int8-static-mixed',
    what: 'the same, the layers that hurt most left in float',
    family: 'int8-static',
    calibrates: true,
    make: ({ float, calibration, runtime, gate }) =>
      createInt8Quantizer({ gate }).quantize(float, calibration, runtime, { precision: 'int8' }),
  },
]

const dynamic8 = byRecipe('int8-dynamic', 'integer products, ranges by each run', {
  scheme: 'int8-dynamic',
  rest: 'int8-weights',
})
const weights8 = byRecipe('int8-weights', 'weights alone as 8 bits', { scheme: 'int8-weights' })
const weights4 = byRecipe('int4-weights', 'weights of dense layers as 4 bits, others as 8', {
  scheme: 'int4-weights',
  rest: 'int8-weights',
})
const half = byRecipe('fp16', 'everything as 16-bit floats', { scheme: 'fp16' })
const weights16 = byRecipe('fp16-weights', 'weights alone as 16-bit floats', { scheme: 'fp16-weights' })

/**
 * Rungs by what the person wants: from what is cheapest on the device, and within that in the making, to what is
 * dearest. `speed` begins with what computes on integers; `size` with the fewest bits.
 */
export const LADDERS = {
  speed: [...static8, dynamic8, weights8, half],
  size: [weights4, ...static8, weights8, weights16, half],
} as const satisfies Record<string, readonly Rung[]>

export type Aim = keyof typeof LADDERS

/** Training rounded as int8 will round, beside the float model, before it is quantized: the dearest, for rows to train on. */
export const awareRung = (lessons: Lessons): Rung => ({
  id: AWARE,
  what: `trained ${lessons.epochs} epochs with the rounding, beside the float model`,
  family: 'int8-static',
  calibrates: true,
  async make({ float, whole, calibration, runtime }) {
    const aware = { epochs: lessons.epochs }
    const { onnx } = await retrain(float, { ...lessons, teacher: whole, runtime, aware })
    return createInt8Quantizer().quantize(onnx, calibration, runtime, { precision: 'int8' })
  },
})

export const AWARE = 'int8-aware'

/** A ladder with training behind the last of static int8, before what does not compute on integers throughout. */
export function ladderOf(aim: Aim, lessons: Lessons | undefined): readonly Rung[] {
  const rungs: readonly Rung[] = LADDERS[aim]
  if (lessons === undefined) return rungs
  const behind = rungs.findLastIndex(({ family }) => family === 'int8-static') + 1
  return rungs.toSpliced(behind, 0, awareRung(lessons))
}

/** The rung of a recipe that a person names. */
export function rungOf(scheme: Scheme): Rung {
  if (scheme === 'int8-static') return { ...static8[1]!, id: scheme }
  const known = [dynamic8, weights8, weights4, half, weights16].find(({ id }) => id === scheme)!
  return known
}
