import type { Session, Tensor, Tensors } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { answersOf, rowsHeld } from './batches.js'

const rows = (count: number, width: number): Tensors => ({
  x: { dtype: 'float32', shape: [count, width], data: Float32Array.from({ length: count * width }, (_, at) => at) },
})

/** A session that answers each run by a function, and the rows that each took. */
function session(run: (x: Tensor) => Tensor, size: number | null = null) {
  const taken: number[] = []
  const made = {
    signature: {
      inputs: [{ name: 'x', dtype: 'float32', shape: [size, null] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: [size, null] }],
    },
    async run({ x }: Tensors) {
      taken.push(x!.shape[0]!)
      return { y: run(x!) }
    },
  } as Partial<Session> as Session
  return { made, taken }
}
const floats = (...shape: number[]): Tensor => ({
  dtype: 'float32',
  shape,
  data: new Float32Array(shape.reduce((product, length) => product * length, 1)),
})

describe('the answers of a model', () => {
  it('are those to all rows, in runs of 256, the last filled up where the model fixes its rows', async () => {
    const free = session((x) => x)
    const [answer] = await answersOf(free.made, rows(300, 2))
    expect(free.taken).toEqual([256, 44])
    expect(answer?.data).toEqual(Float64Array.from({ length: 600 }, (_, at) => at))
    const fixed = session((x) => x, 4)
    expect((await answersOf(fixed.made, rows(6, 1)))[0]?.data).toEqual(Float64Array.of(0, 1, 2, 3, 4, 5))
    expect(fixed.taken).toEqual([4, 4])
  })

  it('are asked for with fewer rows in a run where rows are large', async () => {
    const { made, taken } = session((x) => floats(x.shape[0]!, 1))
    await answersOf(made, rows(5, 2 ** 21))
    expect(taken).toEqual([2, 2, 1])
  })

  it('are refused where an output is not one answer to each row, or changes its shape', async () => {
    for (const [run, message] of [
      [() => floats(1, 3), /output y is \[1, 3\] for 256 rows, not \[256, 3\]/],
      [() => floats(), /output y is \[\] for 256 rows/],
      [(x: Tensor) => floats(x.shape[0]!, x.shape[0]!), /output y is \[44, 44\] for 44 rows, not \[44, 256\]/],
    ] as const) {
      const error = await answersOf(session(run).made, rows(300, 1)).catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'DATA_INVALID', message: expect.stringMatching(message) })
    }
  })

  it('fit into memory for so many rows as they are small, and for one in any case', async () => {
    expect(await rowsHeld(session((x) => floats(x.shape[0]!, 2 ** 20)).made, rows(3, 1))).toBe(32)
    expect(await rowsHeld(session((x) => floats(x.shape[0]!, 0)).made, rows(3, 1))).toBe(2 ** 25)
  })
})
