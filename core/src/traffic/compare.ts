import type { Tensor, Tensors } from '../contracts/tensor.js'
import { bfloat16ToNumber } from '../runtime/bfloat16.js'
import { halfToNumber } from '../runtime/half.js'
import type { Tolerance } from './policy.js'

/**
 * Whether two answers to one request are the same within a tolerance: floats by element, or by each row's largest (`top1`);
 * whole numbers, truths and texts exactly. NaN is like NaN, and an infinity like itself.
 */
export function agree(given: Tensors, mirrored: Tensors, tolerance: Tolerance): boolean {
  const names = Object.keys(given)
  if (names.length !== Object.keys(mirrored).length) return false
  return names.every((name) => {
    const [a, b] = [given[name], mirrored[name]]
    return a !== undefined && b !== undefined && alike(a, b, tolerance)
  })
}

function alike(a: Tensor, b: Tensor, tolerance: Tolerance): boolean {
  if (a.dtype !== b.dtype || a.shape.length !== b.shape.length) return false
  if (a.shape.some((size, axis) => size !== b.shape[axis])) return false
  const toNumber = floats[a.dtype]
  if (toNumber === undefined)
    return (a.data as ArrayLike<unknown> & unknown[]).every((value, at) => value === b.data[at])
  const [from, to] = [a.data as ArrayLike<number>, b.data as ArrayLike<number>]
  const width = a.shape.at(-1) ?? 1
  if (tolerance.top1 && width > 1) return sameTop(from, to, width, toNumber)
  for (let at = 0; at < from.length; at++)
    if (!isNear(toNumber(from[at] as number), toNumber(to[at] as number), tolerance)) return false
  return true
}

const floats: { readonly [T in Tensor['dtype']]?: (bits: number) => number } = {
  float32: (value) => value,
  float64: (value) => value,
  float16: halfToNumber,
  bfloat16: bfloat16ToNumber,
}

function isNear(a: number, b: number, { abs, rel }: Tolerance): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true
  // An infinite bound would take anything for near.
  return Number.isFinite(a) && Number.isFinite(b) && Math.abs(a - b) <= abs + rel * Math.abs(a)
}

function sameTop(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  width: number,
  toNumber: (bits: number) => number,
): boolean {
  for (let row = 0; row < a.length; row += width) if (topOf(a, row) !== topOf(b, row)) return false
  return true

  function topOf(data: ArrayLike<number>, row: number): number {
    let top = row
    for (let at = row + 1; at < row + width; at++)
      if (toNumber(data[at] as number) > toNumber(data[top] as number)) top = at
    return top
  }
}
