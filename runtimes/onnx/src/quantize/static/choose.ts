import type { Tensors } from '@tideway/core'
import { type AffineScale, affineScale, UINT8 } from '../reference.js'
import type { Histogram } from './histogram.js'
import type { GivenRanges } from './options.js'
import type { Plan } from './plan.js'
import { RANGES, type RangeMethod } from './ranges.js'
import type { FloatTensor } from './rows.js'
import type { Setting, Simulation } from './simulate.js'

export const METHODS = Object.keys(RANGES) as RangeMethod[]

/** By group of tensors with one scale. */
export interface ChosenRanges {
  readonly scales: ReadonlyMap<string, AffineScale>
  readonly methods: ReadonlyMap<string, RangeMethod | 'given'>
}

/** The scale of each group by one method. */
export function rangesBy(method: RangeMethod, histograms: ReadonlyMap<string, Histogram>): ChosenRanges {
  const scales = new Map([...histograms].map(([group, seen]) => [group, scaleBy(method, seen)]))
  return { scales, methods: new Map([...histograms.keys()].map((group) => [group, method])) }
}

/**
 * The scales of ranges that are given, no wider than the limits of an activation that the integers' own stand for;
 * groups without one get that of least squared error.
 */
export function givenRanges(
  given: GivenRanges,
  histograms: ReadonlyMap<string, Histogram>,
  { sources, steps }: Pick<Plan, 'sources' | 'steps'>,
): ChosenRanges {
  const { scales, methods } = rangesBy('mse', histograms)
  const chosen: { scales: Map<string, AffineScale>; methods: Map<string, RangeMethod | 'given'> } = {
    scales: new Map(scales),
    methods: new Map(methods),
  }
  const limits = new Map(steps.flatMap((step) => step.outputs.map((name) => [name, step.limits] as const)))
  for (const group of histograms.keys()) {
    const name = [group, ...(sources.get(group) ?? [])].find((item) => Object.hasOwn(given, item))
    const range = name === undefined ? undefined : given[name]
    if (range === undefined) continue
    let { min, max } = range
    for (const source of sources.get(group) ?? []) {
      const { min: least, max: most } = limits.get(source) ?? { min: -Infinity, max: Infinity }
      min = Math.min(most, Math.max(least, min))
      max = Math.min(most, Math.max(least, max))
    }
    chosen.scales.set(group, affineScale(min, max, UINT8))
    chosen.methods.set(group, 'given')
  }
  return chosen
}

function scaleBy(method: RangeMethod, seen: Histogram): AffineScale {
  const { min, max } = RANGES[method](seen, UINT8)
  return affineScale(min, max, UINT8)
}

/** Squared errors of outputs against the float model's, relative to how much those vary; 0 is exact. */
export async function outputError(
  simulation: Simulation,
  rows: Tensors,
  wanted: ReadonlyMap<string, FloatTensor>,
  setting: Setting,
): Promise<number> {
  const places = new Map<string, number>()
  const errors = new Map<string, number>()
  for await (const tensors of simulation.run(rows, setting)) {
    for (const [name, { data: expected }] of wanted) {
      const tensor = tensors[name]
      if (tensor?.dtype !== 'float32') continue
      const begin = places.get(name) ?? 0
      const { data } = tensor
      let sum = 0
      for (let at = 0; at < data.length; at++) sum += ((data[at] ?? 0) - (expected[begin + at] ?? 0)) ** 2
      errors.set(name, (errors.get(name) ?? 0) + sum)
      places.set(name, begin + data.length)
    }
  }
  return [...wanted].reduce((sum, [name, { data: expected }]) => sum + (errors.get(name) ?? 0) / spread(expected), 0)
}

function spread(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return square === 0 ? 1 : square
}

/**
 * The method of each tensor by the error that it makes in the model's outputs: all begin with the least squared error of
 * their own values, then each tries the other methods while the rest stay. One round; `measure` is a run of the
 * simulation.
 */
export async function chooseRanges(
  histograms: ReadonlyMap<string, Histogram>,
  measure: (scales: ReadonlyMap<string, AffineScale>) => Promise<number>,
): Promise<ChosenRanges & { readonly error: number }> {
  const start = rangesBy('mse', histograms)
  const scales = new Map(start.scales)
  const methods = new Map(start.methods)
  let error = await measure(scales)
  for (const [group, seen] of histograms) {
    const tried = new Set([key(scales.get(group))])
    for (const method of METHODS) {
      const before = scales.get(group)
      const scale = scaleBy(method, seen)
      if (before === undefined || tried.has(key(scale))) continue
      tried.add(key(scale))
      scales.set(group, scale)
      const now = await measure(scales)
      if (now < error) {
        error = now
        methods.set(group, method)
      } else scales.set(group, before)
    }
  }
  return { scales, methods, error }
}

const key = (scale: AffineScale | undefined): string => `${scale?.scale} ${scale?.zeroPoint}`
