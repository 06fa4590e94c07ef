/** How a weight's places belong to its output channels. */
export interface Channels {
  readonly count: number
  readonly of: (place: number) => number
}

/** Scales that a channel's first one is chosen from: shares of the one that holds its largest weight. */
const SHARES = Array.from({ length: 48 }, (_, at) => 0.95 ** at)
/** Of a channel that is all zeros: any does, and training may find one. */
const ANY_SCALE = 2 ** -10
/** Exponents of units that keep weights and scales within float32. */
const MOST_EXPONENT = 60

/** The largest integer of so many bits. */
export const levelsOf = (bits: number): number => 2 ** (bits - 1) - 1

/** Output channels along an axis of a weight. */
export function channelsOf(shape: readonly number[], axis: number): Channels {
  const count = shape[axis] ?? 1
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1)
  return { count, of: (place) => Math.floor(place / inner) % count }
}

/**
 * A power of two for each channel, so that its weights divided by it have squares that sum to about 1: what initializers
 * give a layer, and what it keeps that is normalized behind. Exact both ways.
 */
export function unitsOf(data: Float32Array, channels: Channels): Float32Array {
  const sums = new Float64Array(channels.count)
  for (const [place, value] of data.entries()) {
    const channel = channels.of(place)
    sums[channel] = (sums[channel] ?? 0) + value * value
  }
  return Float32Array.from(sums, (sum) => {
    const exponent = Math.round(Math.log2(sum) / 2)
    return sum === 0 ? 1 : 2 ** Math.max(-MOST_EXPONENT, Math.min(MOST_EXPONENT, exponent))
  })
}

/** The scale of each channel by which rounding its weights to so many levels makes the least squared error. */
export function leastSquares(data: Float32Array, channels: Channels, levels: number): Float32Array {
  const peaks = new Float64Array(channels.count)
  for (const [place, value] of data.entries()) {
    const channel = channels.of(place)
    peaks[channel] = Math.max(peaks[channel] ?? 0, Math.abs(value))
  }
  const scales = Float32Array.from(peaks, (peak) => (peak === 0 ? ANY_SCALE : peak / levels))
  const least = new Float64Array(channels.count).fill(Number.POSITIVE_INFINITY)
  for (const share of SHARES) {
    const tried = peaks.map((peak) => (peak / levels) * share)
    const errors = squaredErrors(data, channels, levels, tried)
    for (const [channel, error] of errors.entries()) {
      if (peaks[channel] === 0 || error >= (least[channel] ?? 0)) continue
      least[channel] = error
      scales[channel] = tried[channel] ?? 0
    }
  }
  return scales
}

/** Which way halves of steps go does not matter here. */
function squaredErrors(data: Float32Array, channels: Channels, levels: number, scales: Float64Array): Float64Array {
  const errors = new Float64Array(channels.count)
  for (let place = 0; place < data.length; place++) {
    const channel = channels.of(place)
    const scale = scales[channel] ?? 1
    const value = data[place] ?? 0
    const step = scale === 0 ? 0 : Math.max(-levels, Math.min(levels, Math.round(value / scale)))
    errors[channel] = (errors[channel] ?? 0) + (value - step * scale) ** 2
  }
  return errors
}

/** As `LearnedQuantize` rounds, halves to even. */
export function roundTo(value: number, scale: number, levels: number): number {
  const steps = Math.fround(value / scale)
  const floor = Math.floor(steps)
  const part = steps - floor
  const nearest = part > 0.5 || (part === 0.5 && floor % 2 !== 0) ? floor + 1 : floor
  return Math.fround(Math.max(-levels, Math.min(levels, nearest)) * scale)
}
