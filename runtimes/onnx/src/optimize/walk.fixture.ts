import type { Clipping } from '@tideway/core'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { GraphBuilder } from '../build/graph-builder.js'
import { writeModel } from '../format/write.js'
import { seeded } from '../gradient/gradient.fixture.js'
import { averageScale } from './average.js'
import { clipGradients } from './clip.js'
import { type Numbers, referenceClip, referenceStep } from './reference.fixture.js'
import { type OptimizerStep, optimizerStep, stateNames } from './step.js'

export const STEPS = 50
/** Two parameters; the second does not decay. */
const SHAPES = [[3, 2], [4]] as const
const NAMES = ['a', 'b'] as const

export interface WalkOptions {
  readonly step: OptimizerStep
  readonly clipping?: Clipping
  /** Batches that each gradient is the sum of. */
  readonly summed?: number
  /** Mean gradients of a step, of both parameters end to end; left out, over six orders of magnitude and sometimes 0. */
  readonly gradients?: (t: number, random: () => number) => number[]
  readonly rate?: (t: number) => number
}

export interface Walk {
  /** The weights after the last step, of both parameters end to end. */
  readonly weights: readonly number[]
  /** The average of the weights, where it is kept. */
  readonly average: readonly number[]
}

const COUNT = 10
export const start = (): number[] => {
  const random = seeded(5)
  return Array.from({ length: COUNT }, () => Math.fround(random() * 2 - 1))
}
export const wide = (t: number, random: () => number): number[] =>
  Array.from({ length: COUNT }, (_, at) =>
    at === 0 && t < 3 ? 0 : Math.fround((random() * 2 - 1) * 10 ** ((at % 6) - 4)),
  )
const falling = (t: number): number => Math.fround(0.01 / Math.sqrt(t))
const split = (values: readonly number[]): [number[], number[]] => [values.slice(0, 6), values.slice(6)]

/** Steps by the graph, in one session: what a step gives is what the next one takes. */
export async function walkGraph({
  step,
  clipping,
  summed = 1,
  gradients = wide,
  rate = falling,
}: WalkOptions): Promise<Walk> {
  const states = stateNames(step)
  const g = new GraphBuilder('step')
  const all = NAMES.map((name, place) => ({
    name,
    parameter: g.input(name, 'float32', SHAPES[place] ?? []),
    gradient: g.input(`gradient_${name}`, 'float32', SHAPES[place] ?? []),
    state: Object.fromEntries(
      states.map((state) => [state, g.input(`${name}_${state}`, 'float32', SHAPES[place] ?? [])]),
    ),
    decays: place === 0,
  }))
  const raw = all.map(({ gradient }) => gradient)
  const clipped = clipping === undefined ? { gradients: raw } : clipGradients(g, clipping, raw, summed)
  const inputs = all.map((one, place) => ({ ...one, gradient: clipped.gradients[place] ?? one.gradient }))
  const options = { scale: 'scale' in clipped ? clipped.scale : undefined, summed }
  const outputs = optimizerStep(g, step, g.input('rate', 'float32', []), g.input('t', 'int64', []), inputs, options)
  for (const { parameter, state } of outputs)
    for (const value of [parameter, ...Object.values(state)]) g.output(value.name, value)
  const session = await InferenceSession.create(writeModel(g.build()), { intraOpNumThreads: 1, logSeverityLevel: 3 })

  const [a, b] = split(start())
  const zeros = (count: number): number[] => Array.from({ length: count }, () => 0)
  let carried: Record<string, readonly number[]> = { a, b }
  for (const state of states) carried = { ...carried, [`a_${state}`]: zeros(6), [`b_${state}`]: zeros(4) }
  const random = seeded(9)
  for (let t = 1; t <= STEPS; t++) {
    const [ga, gb] = split(gradients(t, random).map((value) => value * summed))
    const feeds: Record<string, OrtTensor> = {
      rate: new OrtTensor('float32', Float32Array.of(rate(t)), []),
      t: new OrtTensor('int64', BigInt64Array.of(BigInt(t)), []),
    }
    for (const [name, values] of Object.entries({ ...carried, gradient_a: ga, gradient_b: gb }))
      feeds[name] = new OrtTensor('float32', Float32Array.from(values), values.length === 6 ? [3, 2] : [4])
    const taken = new Set(session.inputNames)
    const out = await session.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => taken.has(name))))
    carried = Object.fromEntries(
      Object.keys(carried).map((name) => [name, Array.from(out[`${name}_next`]?.data as Float32Array)]),
    )
  }
  await session.release()
  const scale = averageScale(step.averageMomentum ?? 0, STEPS)
  const average = [...(carried['a_average'] ?? []), ...(carried['b_average'] ?? [])].map((value) => value * scale)
  return { weights: [...(carried['a'] ?? []), ...(carried['b'] ?? [])], average }
}

/** The same by the published algorithms, in float64. */
export function walkReference({ step, clipping, gradients = wide, rate = falling }: WalkOptions): Walk {
  const own = Array.from({ length: COUNT }, (): Numbers => ({}))
  const sums = Array.from({ length: COUNT }, () => 0)
  const still = { ...step, weightDecay: 0 }
  const random = seeded(9)
  let weights = start()
  let total = 0
  const momentum = step.averageMomentum ?? 0
  for (let t = 1; t <= STEPS; t++) {
    const means = split(gradients(t, random))
    const clipped = clipping === undefined ? means : referenceClip(clipping.by, clipping.limit, means)
    const flat = clipped.flat()
    weights = weights.map((w, at) => referenceStep(at < 6 ? step : still, t, rate(t), w, flat[at] ?? 0, own[at] ?? {}))
    total = momentum * total + 1
    for (const [at, w] of weights.entries()) sums[at] = momentum * (sums[at] ?? 0) + w
  }
  return { weights, average: step.averageMomentum === undefined ? [] : sums.map((sum) => sum / total) }
}

/** The furthest that two walks are apart at any weight. */
export function apart(one: readonly number[], other: readonly number[]): number {
  if (one.length !== other.length || one.length === 0) return Number.POSITIVE_INFINITY
  return one.reduce((most, value, at) => Math.max(most, Math.abs(value - (other[at] ?? Number.NaN))), 0)
}
