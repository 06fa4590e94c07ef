import { type AffineScale, affineScale, dequantize, type IntegerRange, MIN_SCALE, quantize } from '../reference.js'

const UINT4: IntegerRange = { min: 0, max: 15 }
/** The zero point of symmetric blocks: codes 0 to 15 stand for -8 to 7. */
export const MIDDLE = 8

/** Shares of a block's full range that are tried. */
const SHRINKS = Array.from({ length: 9 }, (_, i) => 1 - 0.04 * i)

/** A matrix of weights in blocks along its inputs, 4 bits each. */
export interface Blocks {
  /** [outer, inner], 0 to 15. */
  readonly codes: Uint8Array
  /** [outer, blocks]. */
  readonly scales: Float32Array
  /** [outer, blocks], 0 to 15; `MIDDLE` everywhere in symmetric blocks. */
  readonly zeroPoints: Uint8Array
  /** Blocks of one output: inner / blockSize, rounded up; the last may be shorter. */
  readonly blocks: number
}

export interface BlockOptions {
  readonly blockSize: number
  /** One zero point for all, which need not be stored; else each block has its own. */
  readonly symmetric: boolean
}

/**
 * 4-bit weights of a matrix [outer, inner] (a row per output): each block gets the scale, and zero point, with the least
 * squared error among shares of its full range, since at 16 levels a narrower range often pays for what it cuts off.
 */
export function quantizeBlocks(
  weight: Float32Array,
  [outer, inner]: readonly [number, number],
  { blockSize, symmetric }: BlockOptions,
): Blocks {
  const blocks = Math.ceil(inner / blockSize)
  const codes = new Uint8Array(outer * inner)
  const scales = new Float32Array(outer * blocks)
  const zeroPoints = new Uint8Array(outer * blocks)
  for (let row = 0; row < outer; row++) {
    for (let block = 0; block < blocks; block++) {
      const begin = row * inner + block * blockSize
      const values = weight.subarray(begin, Math.min(begin + blockSize, (row + 1) * inner))
      const affine = best(values, symmetric ? symmetricCandidate : asymmetricCandidate)
      scales[row * blocks + block] = affine.scale
      zeroPoints[row * blocks + block] = affine.zeroPoint
      for (let i = 0; i < values.length; i++) codes[begin + i] = quantize(values[i] ?? 0, affine, UINT4)
    }
  }
  return { codes, scales, zeroPoints, blocks }
}

/** What blocks stand for, [outer, inner]. */
export function dequantizeBlocks(
  { codes, scales, zeroPoints, blocks }: Blocks,
  [outer, inner]: readonly [number, number],
  blockSize: number,
): Float32Array {
  return Float32Array.from({ length: outer * inner }, (_, i) => {
    const block = Math.floor(i / inner) * blocks + Math.floor((i % inner) / blockSize)
    return dequantize(codes[i] ?? 0, { scale: scales[block] ?? 0, zeroPoint: zeroPoints[block] ?? 0 })
  })
}

type Candidate = (min: number, max: number) => AffineScale

const symmetricCandidate: Candidate = (min, max) => {
  const scale = Math.max(-min / MIDDLE, max / (UINT4.max - MIDDLE))
  return { scale: scale === 0 ? 1 : Math.max(MIN_SCALE, Math.fround(scale)), zeroPoint: MIDDLE }
}

const asymmetricCandidate: Candidate = (min, max) => affineScale(min, max, UINT4)

function best(values: Float32Array, candidateOf: Candidate): AffineScale {
  let min = 0
  let max = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0
    if (value < min) min = value
    if (value > max) max = value
  }
  let chosen = candidateOf(min, max)
  let least = Infinity
  for (const share of SHRINKS) {
    const candidate = candidateOf(min * share, max * share)
    const error = errorOf(values, candidate)
    if (error < least) [chosen, least] = [candidate, error]
  }
  return chosen
}

/** Which way halves are rounded does not matter for an error. */
function errorOf(values: Float32Array, { scale, zeroPoint }: AffineScale): number {
  const [low, high, steps] = [-zeroPoint, UINT4.max - zeroPoint, 1 / scale]
  let sum = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0
    const step = Math.floor(value * steps + 0.5)
    const error = (step < low ? low : step > high ? high : step) * scale - value
    sum += error * error
  }
  return sum
}
