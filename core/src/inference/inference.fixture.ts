import type { Tensors } from '../contracts/tensor.js'
import { numberToBfloat16 } from '../runtime/bfloat16.js'
import { numberToHalf } from '../runtime/half.js'

/** A tensor of every element type, at the ends of its range, and an empty one. */
export const everyType: Tensors = {
  float32: { dtype: 'float32', shape: [2], data: Float32Array.of(-0.5, 2 ** 100) },
  float64: { dtype: 'float64', shape: [2, 1], data: Float64Array.of(Math.PI, -1e300) },
  float16: { dtype: 'float16', shape: [2], data: Uint16Array.of(numberToHalf(-1.5), numberToHalf(65_504)) },
  bfloat16: { dtype: 'bfloat16', shape: [2], data: Uint16Array.of(numberToBfloat16(-1.5), 0x7f7f) },
  int8: { dtype: 'int8', shape: [2], data: Int8Array.of(-128, 127) },
  uint8: { dtype: 'uint8', shape: [2], data: Uint8Array.of(0, 255) },
  int16: { dtype: 'int16', shape: [2], data: Int16Array.of(-32_768, 32_767) },
  uint16: { dtype: 'uint16', shape: [2], data: Uint16Array.of(0, 65_535) },
  int32: { dtype: 'int32', shape: [2], data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1) },
  uint32: { dtype: 'uint32', shape: [2], data: Uint32Array.of(0, 2 ** 32 - 1) },
  int64: { dtype: 'int64', shape: [2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n) },
  uint64: { dtype: 'uint64', shape: [2], data: BigUint64Array.of(0n, 2n ** 64n - 1n) },
  bool: { dtype: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
  string: { dtype: 'string', shape: [2], data: ['', 'tide ~ 潮\n'] },
  scalar: { dtype: 'float32', shape: [], data: Float32Array.of(7) },
  empty: { dtype: 'float32', shape: [0, 3], data: new Float32Array(0) },
}
