import type { DataType, Tensor } from '@tideway/core'

/** A size known when the graph is built, or the name of one known when it runs; equal names are equal sizes. */
export type Dim = number | string

/** What shape inference knows of a tensor. */
export interface ValueType {
  readonly dtype: DataType
  readonly shape: readonly Dim[]
}

/** A tensor in a graph under construction: a name with its type. */
export interface Value extends ValueType {
  readonly name: string
}

/** The elements that are known not to change with the batch: undefined if a size is not known yet. */
export function staticCount(shape: readonly Dim[]): number | undefined {
  let count = 1
  for (const size of shape) {
    if (typeof size === 'string') return undefined
    count *= size
  }
  return count
}

export const isFloat = (dtype: DataType): dtype is 'float32' | 'float64' => dtype === 'float32' || dtype === 'float64'

/** A float tensor of the wanted type from JavaScript numbers. */
export function floats(dtype: DataType, values: readonly number[], shape: readonly number[] = []): Tensor {
  if (dtype === 'float64') return { dtype, shape, data: Float64Array.from(values) }
  return { dtype: 'float32', shape, data: Float32Array.from(values) }
}

/** A vector of int64, as operators take axes and shapes. */
export function int64s(values: readonly number[]): Tensor {
  return { dtype: 'int64', shape: [values.length], data: BigInt64Array.from(values.map(BigInt)) }
}
