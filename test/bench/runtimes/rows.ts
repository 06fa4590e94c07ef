import type { BenchModel } from './models.js'

/** Inputs that runs take in turn: no run finds its input where the last one left it. */
const INPUTS = 16

export interface Rows {
  readonly shape: readonly number[]
  next(): Float32Array
}

/** Runs' inputs: each with data of its own, the same for every engine. */
export function rowsFor({ shape, batch }: Pick<BenchModel, 'shape' | 'batch'>): Rows {
  const size = shape.reduce((product, length) => product * length, batch)
  const inputs = Array.from({ length: INPUTS }, (_, at) =>
    Float32Array.from({ length: size }, (__, place) => Math.abs(Math.sin((place + 1) * (at + 1)))),
  )
  let turn = 0
  return {
    shape: [batch, ...shape],
    next() {
      turn = (turn + 1) % INPUTS
      return inputs[turn] as Float32Array
    },
  }
}
