import type { Runtime } from './runtime.js'
import type { Tensors } from './tensor.js'

export interface QuantizeOptions {
  readonly precision: 'int8'
}

export interface QuantizedModel {
  readonly onnx: Uint8Array
  readonly precision: string
  /** Nodes that became integer, and nodes left in float with the reason. */
  readonly quantized: readonly string[]
  readonly kept: readonly { readonly node: string; readonly reason: string }[]
}

/** Makes a smaller model of a float one. */
export interface Quantizer {
  readonly name: string
  /**
   * `calibration` holds representative rows for every input; they are run through `runtime` to find value ranges.
   * NaN is a missing value where the model itself fills it. Throws `CALIBRATION_INVALID` (zero rows, other values that
   * are not finite, wrong shape) and `MODEL_ALREADY_QUANTIZED` before work starts.
   */
  quantize(model: Uint8Array, calibration: Tensors, runtime: Runtime, options: QuantizeOptions): Promise<QuantizedModel>
}
