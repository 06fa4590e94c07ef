import type { Linear } from '../../cleanup/linear.js'
import { saturate } from '../reference.js'
import { type IntegerWeights, sumOrders } from './weights.js'

/** Passes over a channel's weights; most end with the second, in which nothing changes any more. */
const MAX_PASSES = 8

/** What two neighbours of one sign may add up to; see `weightScales`. */
const PAIR = 128

/**
 * Rounds weights up or down so that the layer's result, not each weight, is nearest to the float one: the objective of
 * AdaRound (Nagel et al. 2020, arXiv:2004.10568, eq. 13), Δw · E[x xᵀ] · Δw for each output channel, over both roundings
 * of every weight. Found by coordinate descent from the nearest integers instead of a relaxation with gradients: every
 * step is exact, nothing is drawn at random, and the result is never worse than nearest on the samples.
 *
 * `moments[group]` is E[x xᵀ], row-major, of what the weights of one output channel are multiplied with, in the order in
 * which the layer stores them; `groupOf` says whose. Neighbours keep below what saturates (see `weightScales`).
 */
export function roundToMoments(
  layer: Linear,
  nearest: IntegerWeights,
  moments: readonly Float64Array[],
  groupOf: (channel: number) => number,
): IntegerWeights {
  const weight = nearest.weight.slice()
  const orders = sumOrders(layer)
  const [stored = []] = orders
  const beside = neighbours(orders, weight.length)
  for (const [channel, places] of stored.entries()) {
    const moment = moments[groupOf(channel)]
    const scale = nearest.scales[channel] ?? 1
    if (moment === undefined || moment.length !== places.length ** 2) continue
    roundChannel(layer.weight.data, weight, places, scale, moment, beside, nearest.most)
  }
  return { ...nearest, weight }
}

function roundChannel(
  real: Float32Array,
  weight: Int8Array,
  places: Int32Array,
  scale: number,
  moment: Float64Array,
  beside: readonly (readonly number[])[],
  most: number,
): void {
  const size = places.length
  const error = Float64Array.from(places, (place) => (weight[place] ?? 0) - (real[place] ?? 0) / scale)
  // Half of the objective's gradient: moment · error.
  const slope = new Float64Array(size)
  for (let i = 0; i < size; i++) {
    const e = error[i] ?? 0
    if (e === 0) continue
    for (let j = 0; j < size; j++) slope[j] = (slope[j] ?? 0) + e * (moment[i * size + j] ?? 0)
  }
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    let changed = false
    for (let i = 0; i < size; i++) {
      const place = places[i] ?? 0
      const e = error[i] ?? 0
      const step = e > 0 ? -1 : 1
      // Only to the other of the two integers around the real value.
      if (Math.abs(e + step) > 1) continue
      const gain = 2 * step * (slope[i] ?? 0) + (moment[i * size + i] ?? 0)
      if (gain >= -1e-12) continue
      const value = (weight[place] ?? 0) + step
      if (saturate(value, { min: -most, max: most }) !== value || !fits(value, weight, beside[place] ?? [])) continue
      weight[place] = value
      error[i] = e + step
      for (let j = 0; j < size; j++) slope[j] = (slope[j] ?? 0) + step * (moment[i * size + j] ?? 0)
      changed = true
    }
    if (!changed) return
  }
}

const fits = (value: number, weight: Int8Array, beside: readonly number[]): boolean =>
  beside.every((place) => {
    const other = weight[place] ?? 0
    return value > 0 !== other > 0 || Math.abs(value + other) <= PAIR
  })

/** The places next to each place in any order of summing. */
function neighbours(orders: readonly (readonly Int32Array[])[], count: number): number[][] {
  const beside = Array.from({ length: count }, () => [] as number[])
  for (const order of orders) {
    for (const places of order) {
      for (let at = 1; at < places.length; at++) {
        const [a, b] = [places[at - 1] ?? 0, places[at] ?? 0]
        beside[a]?.push(b)
        beside[b]?.push(a)
      }
    }
  }
  return beside
}
