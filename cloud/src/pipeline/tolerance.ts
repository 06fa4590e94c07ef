import { halfToNumber, type Tensor, type Tensors } from '@tideway/core'
import { cloudErrors } from '../errors.js'

/** What float kernels of different engines may differ by on outputs of order one (sums of some hundred products). */
const FLOAT_TOLERANCE = 1e-3
/** Engines and processors that were not tried may lie this much further apart than those that were. */
const ENGINE_MARGIN = 2
/** An engine this many times further away than rounding or quantization explain computes the variant wrongly. */
const UNABLE_FACTOR = 10

/** By output, in the unit of its numbers. */
export type ByOutput = Readonly<Record<string, number>>

export interface Tolerance {
  readonly tolerance: number
  readonly kind: 'rounding' | 'quantization' | 'engines'
}

/** What sums in another order differ by: a share of the largest number, and of 1 where all are below. */
export const roundingOf = (outputs: Tensors): ByOutput =>
  mapped(outputs, (output) => FLOAT_TOLERANCE * Math.max(1, output.dtype === 'string' ? 0 : largest(output)))

/**
 * The largest difference of each output to another's. Throws `ANSWERS_NOT_COMPARABLE` where they are not of the same shape.
 */
export function differencesOf(outputs: Tensors, others: Tensors): ByOutput {
  return mapped(outputs, (output, name) => {
    const other = others[name]
    if (other === undefined || other.shape.join() !== output.shape.join())
      throw cloudErrors.ANSWERS_NOT_COMPARABLE({
        output: name,
        shape: `[${output.shape.join(', ')}]`,
        other: other === undefined ? 'missing' : `[${other.shape.join(', ')}]`,
      })
    return largestDifference(output, other)
  })
}

/** Throws an error that says which of an engine's answers are further away than rounding and quantization explain. */
export function refuseFar(differences: ByOutput, rounding: ByOutput, quantization: ByOutput): void {
  for (const [name, size] of Object.entries(differences)) {
    const most = UNABLE_FACTOR * Math.max(rounding[name]!, quantization[name]!)
    // Not finite is not within either.
    if (!(size <= most))
      throw new Error(`its answers (${name}) are ${size.toPrecision(3)} off, above ${most.toPrecision(3)}`)
  }
}

/** The greatest of what explains that right answers differ, by output. */
export function tolerancesOf(
  rounding: ByOutput,
  quantization: ByOutput,
  engines: readonly ByOutput[],
): Readonly<Record<string, Tolerance>> {
  return mapped(rounding, (_, name) => {
    const causes = {
      rounding: rounding[name]!,
      quantization: quantization[name]!,
      engines: ENGINE_MARGIN * Math.max(0, ...engines.map((differences) => differences[name]!)),
    }
    const tolerance = Math.max(...Object.values(causes))
    return {
      tolerance,
      kind: (Object.keys(causes) as (keyof typeof causes)[]).find((cause) => causes[cause] === tolerance)!,
    }
  })
}

/** The number at a place of a tensor of numbers. */
export function numberAt({ dtype, data }: Tensor, index: number): number {
  return dtype === 'float16' ? halfToNumber(data[index]!) : Number(data[index])
}

function mapped<T, U>(record: Readonly<Record<string, T>>, map: (value: T, name: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]))
}

/** 0 for texts, which a device compares as they are. */
function largestDifference(a: Tensor, b: Tensor): number {
  if (a.dtype === 'string') return 0
  let most = 0
  for (let i = 0; i < a.data.length; i += 1) most = Math.max(most, Math.abs(numberAt(a, i) - numberAt(b, i)))
  return most
}

function largest(tensor: Tensor): number {
  let most = 0
  for (let i = 0; i < tensor.data.length; i += 1) most = Math.max(most, Math.abs(numberAt(tensor, i)))
  return most
}
