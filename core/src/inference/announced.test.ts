import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Tensor, Tensors } from '../contracts/tensor.js'
import { decodeInferAnswer, encodeInferAnswer } from './answer.js'

const form = { outputs: undefined, binaryOutputs: 'all', int64AsString: false, nonFiniteAsNull: false } as const

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)
const floats = (shape: readonly number[]): Tensor => ({
  dtype: 'float32',
  shape,
  data: new Float32Array(sizeOf(shape)).fill(0.5),
})
const integers = (shape: readonly number[]): Tensor => ({
  dtype: 'int32',
  shape,
  data: Int32Array.from({ length: sizeOf(shape) }, (_, i) => i),
})
const shapes = fc.constantFrom<readonly number[]>([1, 4], [4, 1], [4])
const tensors = fc.oneof(
  shapes.map(floats),
  shapes.map(integers),
  fc.constantFrom<Tensor>(
    { dtype: 'string', shape: [1], data: ['a'] },
    { dtype: 'string', shape: [1], data: ['longer'] },
  ),
)
// Few of each, so that one is often like the one before it but for one thing.
const answers = fc.record({
  model: fc.constantFrom('m', '潮'),
  version: fc.constantFrom('1', '2'),
  outputs: fc
    .record({ y: tensors, z: tensors }, { requiredKeys: [], noNullPrototype: true })
    .filter((outputs) => Object.keys(outputs).length > 0),
})

it('what is told of an answer is its own, whatever was told of those before it', () => {
  fc.assert(
    fc.property(fc.array(answers, { minLength: 2, maxLength: 20 }), (given) => {
      for (const { model, version, outputs } of given) {
        const answer = { model, version, outputs: outputs as Tensors }
        const told = encodeInferAnswer(answer, form)
        // One with an id is written anew each time.
        const anew = encodeInferAnswer(answer, { ...form, id: 'i' })
        if (typeof told === 'string' || typeof anew === 'string') return expect.fail('it is text')
        expect(JSON.parse(told.json)).toEqual({ ...JSON.parse(anew.json), id: undefined })
        expect(told.headerBytes % 8).toBe(0)
        expect(decodeInferAnswer(told.body, told.headerBytes)).toEqual(answer)
      }
    }),
    { numRuns: 300 },
  )
})
