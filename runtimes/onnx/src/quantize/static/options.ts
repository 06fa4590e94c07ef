import type { RangeMethod } from './ranges.js'
import type { Form } from './write.js'

/** Tells how good a quantized file is: its loss against the float model by whatever measure, 0 for none. */
export interface LossGate {
  readonly maxLoss: number
  measure(onnx: Uint8Array): Promise<number>
}

/** Everything has a default that is chosen by measurement where it can be. */
export interface Int8Options {
  /**
   * What is computed on integers. `qdq`: all that can be, in standard operators; `operators`: the same in operators of ONNX
   * Runtime, a smaller file that runs as fast. `stored`: nothing; weights are integers in the file and become float when
   * it is loaded, so that it runs as the float model does, needs no calibration and hardly loses accuracy. `fastest`:
   * `qdq` or `stored`, by what the runtime takes for one row, which makes the file depend on the machine.
   */
  readonly form?: Form | 'stored' | 'fastest'
  /** How ranges of activations are chosen; `auto` takes for each tensor what makes the least error in the outputs. */
  readonly ranges?: RangeMethod | 'auto'
  /** Cross-layer equalization; `auto` where it lowers the error in the outputs. */
  readonly equalize?: boolean | 'auto'
  /** How weights are rounded: each to the nearest integer, or all of a layer together so that its result is nearest. */
  readonly rounding?: 'nearest' | 'layer'
  readonly correctBias?: boolean
  /** When the loss is above its limit, layers go back to float, those that hurt most first, until it is not. */
  readonly gate?: LossGate
}

export type ResolvedInt8Options = Required<Omit<Int8Options, 'gate'>> & Pick<Int8Options, 'gate'>

export const DEFAULT_INT8_OPTIONS: Required<Omit<Int8Options, 'gate'>> = Object.freeze({
  form: 'qdq',
  ranges: 'auto',
  equalize: 'auto',
  rounding: 'layer',
  correctBias: true,
} as const)
