import type { Session, Tensor } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { EVALUATION_BATCH_ROWS, evaluate } from './evaluate.js'
import type { Part } from './split.js'

const floats = (shape: number[], of: (at: number) => number) => ({
  dtype: 'float32' as const,
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => of(at)),
})

/** A model that answers its input. */
const echo: Session = {
  signature: {
    inputs: [{ name: 'x', dtype: 'float32', shape: [null, 2] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: [null, 2] }],
  },
  run: async ({ x }) => ({ y: x as Tensor }),
  dispose: async () => {},
}

const ROWS = EVALUATION_BATCH_ROWS + 44
const inputs: Part['inputs'] = floats([ROWS, 2], (at) => Math.sin(at) * (at % 2 === 0 ? 1 : 10) + (at % 2) * 100)

describe('a model held against values', () => {
  it('has its error, and the share of the variance of each column that it explains', async () => {
    const targets = { ...inputs, data: inputs.data.map((value, at) => value + (at % 4 < 2 ? 0.5 : -0.5)) }
    const column = (which: number) => Array.from(targets.data).filter((_, at) => at % 2 === which)
    const variance = (values: number[]) => {
      const mean = values.reduce((a, b) => a + b, 0) / values.length
      return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
    }
    const { meanSquaredError, explained, accuracy } = await evaluate(echo, { inputs, targets })
    expect(meanSquaredError).toBeCloseTo(0.25, 5)
    expect(explained).toBeCloseTo(1 - 0.25 / ((variance(column(0)) + variance(column(1))) / 2), 6)
    expect(accuracy).toBeUndefined()
  })

  it('explains nothing when it says the mean of each column, and everything when it is exact', async () => {
    const means = [1, 2]
    const constant = floats([4, 2], (at) => means[at % 2]!)
    const around = floats([4, 2], (at) => means[at % 2]! + (at < 4 ? 3 : -3))
    expect((await evaluate(echo, { inputs: constant, targets: around })).explained).toBe(0)
    expect((await evaluate(echo, { inputs: around, targets: around })).explained).toBe(1)
  })

  it('has no such share where the targets do not vary', async () => {
    const constant = floats([4, 2], () => 7)
    expect(await evaluate(echo, { inputs: constant, targets: constant })).toEqual({ meanSquaredError: 0 })
  })
})
