import { elementCount } from '../contracts/tensor.js'

const MAX_ELEMENTS = 2 ** 31 - 1
export const MAX_RANK = 16

/** Whether it is a shape from outside that a tensor of ours may have: few axes, and no more values than an array holds. */
export function isShape(shape: unknown): shape is readonly number[] {
  if (!Array.isArray(shape) || shape.length > MAX_RANK) return false
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) return false
  return elementCount(shape as number[]) <= MAX_ELEMENTS
}
