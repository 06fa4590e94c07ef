import type { QuantizedPrecision, Recipe, Scheme } from '../pipeline/recipe.js'
import type { Runtime } from './runtime.js'
import type { Tensors } from './tensor.js'

/** A recipe; a precision alone stands for the scheme that `schemeOf` names. */
export type QuantizeOptions = Recipe | { readonly precision: QuantizedPrecision; readonly scheme?: never }

export interface QuantizedModel {
  readonly onnx: Uint8Array
  /** As in `Variant.precision`. */
  readonly precision: QuantizedPrecision
  readonly scheme?: Scheme
  /** Abilities that a runtime needs for it, as in `Variant.requires`; none when left out. */
  readonly requires?: readonly string[]
  /** Nodes that became smaller, and nodes left in float with the reason. */
  readonly quantized: readonly string[]
  readonly kept: readonly { readonly node: string; readonly reason: string }[]
}

/** Makes a smaller model of a float one. */
export interface Quantizer {
  readonly name: string
  /**
   * `calibration` holds representative rows for every input; they are run through `runtime` to find value ranges.
   * NaN is a missing value where the model itself fills it; schemes that need no rows take `{}`. Throws
   * `CALIBRATION_INVALID` (zero rows, other values that are not finite, wrong shape), `MODEL_ALREADY_QUANTIZED` and
   * `QUANTIZE_NOTHING` before work starts.
   */
  quantize(model: Uint8Array, calibration: Tensors, runtime: Runtime, options: QuantizeOptions): Promise<QuantizedModel>
}
