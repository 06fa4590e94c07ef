import type { Tensor } from '../contracts/tensor.js'

/** Rows to learn from, as a pipeline's `data` function gives them. */
export interface Dataset {
  /** [rows, ...row shape]; float32, or uint8 to be multiplied by `scale`. */
  readonly inputs: Tensor
  /** Class indices (int32 or uint8, [rows]) or values to predict (float32, [rows, n]). */
  readonly targets: Tensor
  /** What a uint8 value is multiplied with to become the model's float32 input: 1/255 for images. Default 1. */
  readonly scale?: number
  /** A name for each class index. */
  readonly classes?: readonly string[]
  /** A name for each column of a flat input. */
  readonly features?: readonly string[]
  /** [height, width, channels] where the rows are images. */
  readonly image?: readonly [number, number, number]
}
