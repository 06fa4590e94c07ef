import { describe, expect, it } from 'vitest'
import type { Answer } from './batches.js'
import { createJudge } from './judge.js'

const answer = (width: number, ...data: number[]): Answer => ({
  name: 'y',
  shape: [width],
  width,
  data: Float64Array.from(data),
  isWhole: false,
})
const labels = (...data: number[]) => ({ dtype: 'int32', shape: [data.length], data: Int32Array.from(data) }) as const
const values = (width: number, ...data: number[]) =>
  ({ dtype: 'float32', shape: [data.length / width, width], data: Float32Array.from(data) }) as const

describe('a judge of classes', () => {
  const float = [answer(2, 0.9, 0.1, 0.2, 0.8, 0.6, 0.4, 0.3, 0.7)]
  const judge = createJudge(float, labels(0, 1, 1, 1))

  it('counts the rows that broke and those that were mended', () => {
    expect(judge).toMatchObject({ measure: 'classes', rows: 4, classes: 2 })
    expect(judge.float.score).toBe(0.75)
    const { score, loss, broken, mended, predicted } = judge.judge([answer(2, 0.1, 0.9, 0.2, 0.8, 0.4, 0.6, 0.9, 0.1)])
    expect({ score, loss, broken, mended }).toEqual({ score: 0.5, loss: 0.25, broken: 2, mended: 1 })
    expect([...predicted!]).toEqual([1, 1, 1, 0])
  })

  it('takes a row with a number that is not finite as wrong, whatever its largest is', () => {
    const made = judge.judge([answer(2, 0.9, Number.NaN, 0.2, 0.8, 0.6, 0.4, 0.3, Number.POSITIVE_INFINITY)])
    expect([...made.predicted!]).toEqual([-1, 1, 0, -1])
    expect(made.loss).toBe(0.5)
  })

  it('takes a model’s own class index as it is', () => {
    const index = { ...answer(1, 4, 2), isWhole: true }
    const own = createJudge([index], labels(4, 1))
    expect(own.float.score).toBe(0.5)
    expect(own.classes).toBe(5)
  })
})

describe('a judge of values', () => {
  it('gives the share of variance explained, of several values too', () => {
    const judge = createJudge([answer(2, 1, 10, 3, 30)], values(2, 1, 10, 3, 30))
    expect(judge).toMatchObject({ measure: 'values', float: { score: 1 } })
    // Errors 1 and 0 0 0: one over the variance about the columns' means, 2 + 200.
    expect(judge.judge([answer(2, 2, 10, 3, 30)]).loss).toBeCloseTo(1 / 202, 12)
  })

  it('never lets answers pass that are not finite or not there', () => {
    const judge = createJudge([answer(1, 1, 2)], values(1, 1, 2))
    expect(judge.judge([answer(1, 1, Number.NaN)]).loss).toBe(Number.POSITIVE_INFINITY)
    expect(judge.judge([]).loss).toBe(Number.POSITIVE_INFINITY)
  })

  it('holds a model against itself where the values do not vary, and says so', () => {
    const judge = createJudge([answer(1, 1, 2)], values(1, 5, 5))
    expect(judge.measure).toBe('likeness')
    expect(judge.notes).toEqual([expect.stringMatching(/^the values to predict do not vary/)])
  })

  it('refuses values that are not finite', () => {
    const error = () => createJudge([answer(2, 1, 2, 3, 4)], values(2, 1, 2, Number.NaN, 4))
    expect(error).toThrow(expect.objectContaining({ code: 'DATA_INVALID' }))
    expect(error).toThrow(/row 1: a value to predict is not finite/)
  })

  it('refuses values of another width than the model’s, and a model that answers NaN by itself', () => {
    expect(() => createJudge([answer(1, 1, 2)], values(2, 1, 2, 3, 4))).toThrow(/2 values to predict, .* gives \[1\]/)
    expect(() => createJudge([answer(1, 1, Number.NaN)], undefined)).toThrow(/row 1: the model itself/)
  })
})

describe('a judge without labels', () => {
  it('counts rows that get the float model’s class, where it gives probabilities', () => {
    const judge = createJudge([answer(2, 0.9, 0.1, 0.2, 0.8)], undefined)
    expect(judge).toMatchObject({ measure: 'agreement', float: { score: 1 } })
    expect(judge.judge([answer(2, 0.4, 0.6, 0.2, 0.8)]).loss).toBe(0.5)
  })

  it('takes the worst of several outputs as likeness', () => {
    const judge = createJudge([answer(1, 1, 3), answer(1, 5, 9)], undefined)
    expect(judge.measure).toBe('likeness')
    // Of the variance 8 of the second output an error of 2 squared stays unexplained.
    expect(judge.judge([answer(1, 1, 3), answer(1, 5, 7)]).loss).toBeCloseTo(4 / 8, 12)
  })
})
