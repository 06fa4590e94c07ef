import type { DataType, Tensors } from '@tideway/core'

/** Small tensors of many types, of which requests are made that are then mutated. */
export const fuzzTensors: Tensors = {
  f4: { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, -2.5, 0, 3e38) },
  f2: { dtype: 'float16', shape: [2], data: Uint16Array.of(0x3c00, 0x7bff) },
  bf: { dtype: 'bfloat16', shape: [1], data: Uint16Array.of(0x3f80) },
  f8: { dtype: 'float64', shape: [], data: Float64Array.of(Math.PI) },
  i8: { dtype: 'int64', shape: [2], data: BigInt64Array.of(2n ** 53n + 1n, -1n) },
  i1: { dtype: 'int8', shape: [3], data: Int8Array.of(1, 2, 3) },
  b: { dtype: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
  s: { dtype: 'string', shape: [2], data: ['a', '潮'] },
}

/** What a model must take for the seeds to be good ones. */
export const seedSpecs = Object.entries(fuzzTensors).map(([name, { dtype, shape }]) => ({
  name,
  dtype: dtype as DataType,
  shape: shape.map(() => null),
}))
