import { encodeTensors, numberToHalf, type Session, type Tensor, type Tensors } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { runKnownAnswers } from './known-answers.js'

const f32 = (shape: number[], ...values: number[]): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
})

/** Compares what a model answers with what it should. */
async function check(expected: Tensor, actual: Tensor | undefined, tolerance = 0.1, top1Margin?: number) {
  const session: Session = {
    signature: { inputs: [], outputs: [] },
    run: async (): Promise<Tensors> => (actual === undefined ? {} : { y: actual }),
    dispose: async () => undefined,
  }
  const blob = encodeTensors({ inputs: { x: f32([1], 0) }, outputs: { y: expected } })
  await runKnownAnswers(session, blob, { tolerance, top1Margin })
}

const mismatch = (data: object) => ({ code: 'KNOWN_ANSWERS_MISMATCH', data: expect.objectContaining(data) as object })

describe('known answers', () => {
  it('hold within the tolerance and not beyond it', async () => {
    await check(f32([2, 2], 1, 2, 3, 4), f32([2, 2], 1.05, 1.95, 3, 4))
    await expect(check(f32([2, 2], 1, 2, 3, 4), f32([2, 2], 1, 2, 3, 4.2))).rejects.toMatchObject(
      mismatch({ output: 'y', row: 1, tolerance: 0.1 }),
    )
  })

  it('do not hold for NaN where a number should be, nor the other way, but do for equal NaNs and infinities', async () => {
    await expect(check(f32([1], 1), f32([1], Number.NaN))).rejects.toMatchObject(mismatch({ row: 0 }))
    await expect(check(f32([1], Number.NaN), f32([1], 1))).rejects.toMatchObject(mismatch({ row: 0 }))
    await expect(check(f32([1], Infinity), f32([1], -Infinity))).rejects.toMatchObject(mismatch({ row: 0 }))
    await check(f32([2], Number.NaN, Infinity), f32([2], Number.NaN, Infinity))
  })

  it('hold each output to its own tolerance where it has one', async () => {
    const session = (y: number, z: number): Session => ({
      signature: { inputs: [], outputs: [] },
      run: async () => ({ y: f32([1], y), z: f32([1], z) }),
      dispose: async () => undefined,
    })
    const blob = encodeTensors({ inputs: {}, outputs: { y: f32([1], 0), z: f32([1], 1000) } })
    const test = { tolerance: 5, tolerances: { y: 0.01 } }
    await runKnownAnswers(session(0.005, 1004), blob, test)
    const wrong = mismatch({ output: 'y', tolerance: 0.01 })
    await expect(runKnownAnswers(session(0.02, 1004), blob, test)).rejects.toMatchObject(wrong)
    await expect(runKnownAnswers(session(0, 1006), blob, test)).rejects.toMatchObject(mismatch({ output: 'z' }))
  })

  it('need the same top class where it leads clearly, and only there', async () => {
    const [want, have] = [f32([1, 3], 0.1, 0.45, 0.4), f32([1, 3], 0.1, 0.4, 0.45)]
    await check(want, have, 0.1, 0.06)
    await check(want, have, 0.1)
    await expect(check(want, have, 0.1, 0.04)).rejects.toMatchObject(mismatch({ row: 0 }))
    await check(f32([1, 3], -5, -3, -4), f32([1, 3], -5, -3.05, -4), 0.1, 0)
  })

  it('need the same type, shape and name', async () => {
    await expect(check(f32([2], 1, 2), undefined)).rejects.toMatchObject(mismatch({ output: 'y' }))
    await expect(check(f32([2], 1, 2), f32([1, 2], 1, 2))).rejects.toMatchObject(mismatch({ output: 'y' }))
    const doubles: Tensor = { dtype: 'float64', shape: [2], data: Float64Array.of(1, 2) }
    await expect(check(f32([2], 1, 2), doubles)).rejects.toMatchObject(mismatch({ output: 'y' }))
  })

  it('compare halves as numbers, integers of 64 bits and texts', async () => {
    const halves = (value: number): Tensor => ({
      dtype: 'float16',
      shape: [1],
      data: Uint16Array.of(numberToHalf(value)),
    })
    await check(halves(1), halves(1.05))
    await expect(check(halves(1), halves(1.2))).rejects.toMatchObject(mismatch({ row: 0 }))
    const label = (value: bigint): Tensor => ({ dtype: 'int64', shape: [1], data: BigInt64Array.of(value) })
    await expect(check(label(7n), label(8n))).rejects.toMatchObject(mismatch({ row: 0 }))
    const text = (...data: string[]): Tensor => ({ dtype: 'string', shape: [2], data })
    await check(text('a', 'b'), text('a', 'b'))
    await expect(check(text('a', 'b'), text('a', 'c'))).rejects.toMatchObject(mismatch({ row: 1 }))
  })

  it('do not hold when the model cannot be run, or the blob is not one', async () => {
    const session: Session = {
      signature: { inputs: [], outputs: [] },
      run: () => Promise.reject(new Error('broken')),
      dispose: async () => undefined,
    }
    const blob = encodeTensors({ inputs: {}, outputs: { y: f32([1], 1) } })
    await expect(runKnownAnswers(session, blob, { tolerance: 1 })).rejects.toMatchObject(mismatch({ output: '(all)' }))
    await expect(runKnownAnswers(session, new Uint8Array(3), { tolerance: 1 })).rejects.toMatchObject({
      code: 'TENSORS_INVALID',
    })
  })
})
