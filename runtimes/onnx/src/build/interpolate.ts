import type { NodeContext } from './context.js'

/** One axis of a Resize: how many elements it gives, from how many, and what of each input element is in each. */
export interface Interpolation {
  readonly length: number
  readonly from: number
  /** [length, from], row by row: every output element's weights. */
  readonly weights: () => Float64Array
}

const NEAREST: Readonly<Record<string, (at: number) => number>> = {
  round_prefer_floor: (at) => Math.ceil(at - 0.5),
  round_prefer_ceil: (at) => Math.floor(at + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
}

type Place = (to: number, scale: number, length: number, from: number) => number

/** Where an output element lies on the input's axis (ONNX operator Resize, coordinate_transformation_mode). */
const PLACES: Readonly<Record<string, Place>> = {
  half_pixel: (to, scale) => (to + 0.5) / scale - 0.5,
  pytorch_half_pixel: (to, scale, length) => (length > 1 ? (to + 0.5) / scale - 0.5 : 0),
  asymmetric: (to, scale) => to / scale,
  align_corners: (to, _, length, from) => (length > 1 ? (to * (from - 1)) / (length - 1) : 0),
}

/**
 * What a Resize does along each axis; undefined for an axis that stays as it is, and for all when sizes are computed at
 * run time. Resize is linear and separable: each axis is multiplied by a matrix.
 */
export function interpolated(node: NodeContext): (Interpolation | undefined)[] | undefined {
  const { shape } = node.in(0)
  const sizes = node.inputs[3] === undefined ? undefined : node.constantInts(3)
  const given = node.inputs[2] === undefined ? undefined : node.constant(2)
  const scales = given && given.data.length > 0 ? Array.from(given.data as Float32Array, Number) : undefined
  if (sizes === undefined && scales === undefined) return undefined
  if ((sizes ?? scales)?.length !== shape.length) throw node.invalid(`sizes or scales for ${shape.length} axes`)
  return shape.map((size, axis) => {
    const scale = scales?.[axis]
    if (scale === 1 || (sizes !== undefined && sizes[axis] === size)) return undefined
    if (typeof size === 'string') {
      if (sizes !== undefined && axis === 0) return undefined
      throw node.invalid('an axis to resize has a size that is not known')
    }
    const length = sizes?.[axis] ?? Math.floor(size * (scale ?? 1))
    return { length, from: size, weights: () => weightsOf(node, scale ?? length / size, length, size) }
  })
}

function text(node: NodeContext, name: string, fallback: string): string {
  const value = node.attributes[name]
  return typeof value === 'string' ? value : fallback
}

/** How a Resize places and takes elements: ONNX's attributes of these names. */
export interface ResizeMode {
  readonly coordinates: string
  readonly mode: string
  readonly nearest: string
}

/**
 * The matrix [length, from] of a Resize along one axis, row by row; undefined for a mode that is not linear, or not
 * known. `scale` is output over input.
 */
export function resizeWeights(
  { coordinates, mode, nearest: rounding }: ResizeMode,
  scale: number,
  length: number,
  from: number,
): Float64Array | undefined {
  const place = PLACES[coordinates]
  const nearest = NEAREST[rounding]
  if (place === undefined || nearest === undefined || (mode !== 'nearest' && mode !== 'linear')) return undefined
  const weights = new Float64Array(length * from)
  const clamp = (at: number): number => Math.min(Math.max(at, 0), from - 1)
  for (let to = 0; to < length; to++) {
    const at = place(to, scale, length, from)
    if (mode === 'nearest') {
      weights[to * from + clamp(nearest(at))] = 1
      continue
    }
    const inside = clamp(at)
    const low = Math.floor(inside)
    const high = Math.min(low + 1, from - 1)
    const share = inside - low
    weights[to * from + low] = (weights[to * from + low] ?? 0) + 1 - share
    weights[to * from + high] = (weights[to * from + high] ?? 0) + share
  }
  return weights
}

function weightsOf(node: NodeContext, scale: number, length: number, from: number): Float64Array {
  const mode = {
    coordinates: text(node, 'coordinate_transformation_mode', 'half_pixel'),
    mode: text(node, 'mode', 'nearest'),
    nearest: text(node, 'nearest_mode', 'round_prefer_floor'),
  }
  const weights = resizeWeights(mode, scale, length, from)
  if (weights === undefined) throw node.invalid(`mode ${mode.mode} with these coordinates has no known weights`)
  return weights
}
