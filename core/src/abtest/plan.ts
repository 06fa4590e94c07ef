import { type AbDeclaration, rangeOf } from './declaration.js'
import { type Stakes, stakesAround } from './mixture.js'

/** A declaration in the terms of the test: values within [0, 1], more is better. */
export interface AbPlan {
  /** Between these a unit's value lies, in the metric's own unit; `width` is how far they are apart. */
  readonly min: number
  readonly max: number
  readonly width: number
  /** A value between them, from the metric's own unit. */
  readonly scaled: (value: number) => number
  readonly leastEffect: number
  /** A first guess at the mean. */
  readonly centre: number
  readonly split: number
  /** The most that one unit says of the effect, either way. */
  readonly reach: number
  readonly stakes: Stakes
  readonly alpha: number
  readonly beta: number
  readonly maxUnits: number
}

/** Units beyond the plan: some tests of an effect that is there are given up before, and the others have to make up for it. */
const MARGIN = 1.25

type Declared = Omit<AbDeclaration, 'control' | 'treatment'>

export function planOf({ metric, better, leastEffect, alpha, beta, split, maxUnits }: Declared): AbPlan {
  const { min, max } = rangeOf(metric)
  const width = max - min
  const up = better === 'higher'
  const scaled = (value: number) => (up ? value - min : max - value) / width
  const centre = metric.baseline === undefined ? 0.5 : scaled(metric.baseline)
  const least = leastEffect / width
  const variance = metric.kind === 'binary' ? varianceOf(centre + least / 2) : ((metric.sd ?? width / 4) / width) ** 2
  // Of what one unit says of the effect; see `Evidence`.
  const noise = variance / (split * (1 - split))
  const reach = 1 / Math.min(split, 1 - split)
  // The stake under which the capital grows fastest at the least effect.
  const stakes = stakesAround((reach * least) / noise)
  const units = maxUnits ?? Math.ceil((MARGIN * signal(alpha, beta) * noise) / least ** 2)
  return { min, max, width, scaled, leastEffect: least, centre, split, reach, stakes, alpha, beta, maxUnits: units }
}

/** Of a rate; what is expected may lie beyond 1 by half of the least effect. */
function varianceOf(rate: number): number {
  const within = Math.min(rate, 0.999)
  return within * (1 - within)
}

/**
 * Squared standard errors that the least effect must be away from 0 to be found with probability 1 - beta: the logarithm of
 * half of the capital, at the best stake, is normal with mean k / 2 and variance k.
 */
function signal(alpha: number, beta: number): number {
  const z = quantile(1 - beta)
  const wanted = Math.log(2 / alpha)
  return (z + Math.sqrt(z ** 2 + 2 * wanted)) ** 2
}

/** Of the standard normal distribution, for p >= 0.5; Abramowitz and Stegun 26.2.23, right to 4.5e-4. */
function quantile(p: number): number {
  const t = Math.sqrt(-2 * Math.log(1 - p))
  const over = 2.515517 + t * (0.802853 + t * 0.010328)
  return t - over / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
}
