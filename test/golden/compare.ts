import type { Tensor, Tensors } from '@tideway/core'
import type { GoldenEngine } from './engines/index.js'
import type { Arithmetic } from './models.js'

/** How far an engine's answers lie from the reference's. */
export interface Difference {
  readonly absolute: number
  /** To the largest value of the same output. */
  readonly relative: number
}

/** The largest difference over all outputs; throws when names, types or shapes are not the same. */
export function difference(answers: Tensors, wanted: Tensors): Difference {
  const names = (tensors: Tensors): string => Object.keys(tensors).toSorted().join(', ')
  if (names(answers) !== names(wanted)) throw new Error(`outputs are ${names(answers)}, not ${names(wanted)}`)
  let [absolute, relative] = [0, 0]
  for (const [name, tensor] of Object.entries(wanted)) {
    const values = valuesOf(name, tensor)
    const others = valuesOf(name, answers[name] as Tensor)
    const kind = ({ dtype, shape }: Tensor): string => `${dtype} [${shape.join(', ')}]`
    if (kind(answers[name] as Tensor) !== kind(tensor))
      throw new Error(`${name} is ${kind(answers[name] as Tensor)}, not ${kind(tensor)}`)
    const largest = values.filter(Number.isFinite).reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const apart = values.reduce((most, value, at) => Math.max(most, distance(value, others[at] ?? Number.NaN)), 0)
    absolute = Math.max(absolute, apart)
    relative = Math.max(relative, apart === 0 ? 0 : apart / largest)
  }
  return { absolute, relative }
}

function valuesOf(name: string, { dtype, data }: Tensor): Float32Array {
  if (dtype !== 'float32') throw new Error(`${name} holds ${dtype}: the golden set answers float32`)
  return data
}

/** NaN is as far as can be from all but NaN. */
function distance(one: number, other: number): number {
  if (Object.is(one, other)) return 0
  const apart = Math.abs(one - other)
  return Number.isNaN(apart) ? Infinity : apart
}

/** Largest relative difference that an engine may have, and what it comes from. */
export const TOLERANCES: Readonly<
  Record<Arithmetic, { readonly cpu: number; readonly gpu: number; readonly why: string }>
> = {
  float: {
    cpu: 1e-5,
    gpu: 1e-4,
    why: 'float32 sums in another order: a rounding is 6e-8 of a term, and some hundreds add up; WGSL leaves exp, tanh and division coarser (3 steps and more)',
  },
  half: {
    cpu: 1e-5,
    gpu: 5e-3,
    why: 'a processor computes float16 as float32; a GPU rounds each result to 11 bits, 5e-4 of it, in every layer',
  },
  int8: {
    cpu: 1 / 255,
    gpu: 1 / 255,
    why: 'sums of integers are exact; a value between two of the 255 steps of an activation may fall on either side',
  },
  int4: {
    cpu: 2 / 127,
    gpu: 2 / 127,
    why: 'ONNX Runtime’s native build rounds activations to 8 bits by block of 32, the others do not: a step of 127 in each of two layers',
  },
}

export const toleranceOf = (arithmetic: Arithmetic, { on }: Pick<GoldenEngine, 'on'>): number =>
  TOLERANCES[arithmetic][on]
