import type { Shape } from '@tideway/core'

/** Elements of a row-major tensor with its axes in another order, as NumPy's `transpose`. */
export function permuted(values: Float32Array, shape: Shape, order: readonly number[]): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1))
  const sizes = order.map((axis) => shape[axis] ?? 1)
  const steps = order.map((axis) => strides[axis] ?? 1)
  const out = new Float32Array(values.length)
  const place = sizes.map(() => 0)
  let from = 0
  for (let to = 0; to < out.length; to++) {
    out[to] = values[from] as number
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += steps[axis] as number
      place[axis] = (place[axis] as number) + 1
      if ((place[axis] as number) < (sizes[axis] as number)) break
      from -= (steps[axis] as number) * (sizes[axis] as number)
      place[axis] = 0
    }
  }
  return out
}

/** The shape that `permuted` gives. */
export const reordered = (shape: Shape, order: readonly number[]): number[] => order.map((axis) => shape[axis] ?? 1)
