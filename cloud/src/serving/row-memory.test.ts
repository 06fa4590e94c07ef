import type { Session, Tensor, Tensors } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { Batcher } from './batcher.js'

const one = (value: number): Tensors => ({ x: { dtype: 'float32', shape: [1, 1], data: Float32Array.of(value) } })
const spec = (name: string) => ({ name, dtype: 'float32' as const, shape: [null, 1] })

/** Runs of pairs of requests, and the memory that each was in. */
async function pairs(answer: (x: Tensor) => Tensor, count: number) {
  const buffers: ArrayBufferLike[] = []
  const session: Session = {
    signature: { inputs: [spec('x')], outputs: [spec('y')] },
    async run({ x }) {
      if (ArrayBuffer.isView(x?.data)) buffers.push(x.data.buffer)
      return { y: answer(x as Tensor) }
    },
    dispose: async () => undefined,
  }
  const batcher = new Batcher(session)
  const answers: Tensors[] = []
  for (let i = 0; i < count; i++)
    for (const { outputs, batchRows } of await Promise.all(
      [2 * i, 2 * i + 1].map((value) => batcher.run(one(value))),
    )) {
      expect(batchRows).toBe(2)
      answers.push(outputs)
    }
  return { buffers, values: answers.map(({ y }) => Number(y?.data[0])) }
}

describe('memory for rows that go together', () => {
  it('is that of the run before', async () => {
    const { buffers, values } = await pairs(
      (x) => ({ ...x, data: Float32Array.from(x.data as Float32Array) }) as Tensor,
      3,
    )
    expect(new Set(buffers).size).toBe(1)
    expect(values).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('is left to an engine that answers with it', async () => {
    const { buffers, values } = await pairs((x) => x, 3)
    expect(new Set(buffers).size).toBe(3)
    expect(values).toEqual([0, 1, 2, 3, 4, 5])
  })
})
