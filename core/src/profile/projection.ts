/**
 * The signs, +1 or -1, of a seeded random projection: a counter-based hash of (seed, index), in 32-bit integer arithmetic
 * that is the same on every platform (the finalizer of MurmurHash3, A. Appleby). Projections by random signs: Achlioptas,
 * "Database-friendly random projections", 2003.
 */
export function projectionSigns(seed: number, size: number): Float64Array<ArrayBuffer> {
  const signs = new Float64Array(size)
  const start = mix(seed | 0)
  for (let i = 0; i < size; i++) signs[i] = mix(start ^ Math.imul(i + 1, 0x9e3779b1)) & 1 ? 1 : -1
  return signs
}

/** The sum of `signs` times the values from `start`. Four sums side by side, since one would wait on itself. */
export function signedSum(signs: Float64Array, data: ArrayLike<number>, start: number): number {
  const size = signs.length
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let i = 0
  for (let at = start; i + 3 < size; i += 4, at += 4) {
    a += (signs[i] as number) * (data[at] as number)
    b += (signs[i + 1] as number) * (data[at + 1] as number)
    c += (signs[i + 2] as number) * (data[at + 2] as number)
    d += (signs[i + 3] as number) * (data[at + 3] as number)
  }
  for (; i < size; i++) a += (signs[i] as number) * (data[start + i] as number)
  return a + b + (c + d)
}

function mix(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
