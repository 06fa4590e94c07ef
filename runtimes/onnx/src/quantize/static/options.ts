import type { RangeMethod, ValueRange } from './ranges.js'
import type { Form } from './write.js'

/** Tells how good a quantized file is: its loss against the float model by whatever measure, 0 for none. */
export interface LossGate {
  readonly maxLoss: number
  measure(onnx: Uint8Array): Promise<number>
}

/** Ranges by the tensor that a group is called by, or by any of those that hold its values. */
export type GivenRanges = Readonly<Record<string, ValueRange>>

/** Scales by the initializer that they are of: one for each output channel, positive float32. */
export type GivenScales = Readonly<Record<string, readonly number[]>>

/** How a file was rounded while it was trained. */
export interface Trained {
  readonly weightBits: number
  readonly ranges: GivenRanges
  /** Of the weights whose scales were trained; others have those that follow from what the weights are. */
  readonly scales?: GivenScales
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
  /**
   * How ranges of activations are chosen; `auto` takes those that the file was trained with (see `writeRounding`), else
   * for each tensor what makes the least error in the outputs. Or the ranges themselves, by tensor: as with those of a
   * file, nothing else is changed then either, unless options ask for it (no equalization, weights rounded to the nearest
   * integers, biases as they are), since that is what was trained.
   */
  readonly ranges?: RangeMethod | 'auto' | GivenRanges
  /** Cross-layer equalization; `auto` where it lowers the error in the outputs. */
  readonly equalize?: boolean | 'auto'
  /** How weights are rounded: each to the nearest integer, or all of a layer together so that its result is nearest. */
  readonly rounding?: 'nearest' | 'layer'
  readonly correctBias?: boolean
  /** Fewer than 8 leave int8 weights on so many levels: coarser, and files that compress better; 2 to 8. */
  readonly weightBits?: number
  /** Nodes to leave in float, by name (else `Operator:first output`), as results and reports call them. */
  readonly keep?: readonly string[]
  /**
   * Scales of weights, by initializer, rounded to float32: with the ranges, how a file was trained. Left out: those that
   * the file was trained with, where its ranges and its number of bits are taken, too; else, and for weights without any,
   * scales follow from the weights. None is taken for weights that are equalized, for 8 bits where neighbours could
   * saturate, or where their number is not that of the output channels.
   */
  readonly scales?: GivenScales
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
  weightBits: 8,
  keep: [],
  scales: {},
} as const)

/** What the options do not say, for a model that was trained with rounding: it is to be rounded in the same way. */
const TRAINED = Object.freeze({ equalize: false, rounding: 'nearest', correctBias: false } as const)

/** The options with nothing left out, for a file that was trained so. */
export function withTrained(options: Int8Options, own: Trained | undefined): ResolvedInt8Options {
  const asked = options.ranges ?? DEFAULT_INT8_OPTIONS.ranges
  const isOwn = asked === 'auto' && own !== undefined
  const ranges = isOwn ? own.ranges : asked
  const resolved = {
    ...DEFAULT_INT8_OPTIONS,
    ...(typeof ranges === 'object' && TRAINED),
    ...(isOwn && { weightBits: own.weightBits }),
    ...options,
    ranges,
  }
  const fit = isOwn && resolved.weightBits === own.weightBits && resolved.equalize === false
  return fit ? { ...resolved, scales: options.scales ?? own.scales ?? {} } : resolved
}
