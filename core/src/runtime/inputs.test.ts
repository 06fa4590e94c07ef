import { describe, expect, it } from 'vitest'
import type { Signature, Tensors } from '../contracts/tensor.js'
import { checkInputs, inputCheck, tensorIssues } from './inputs.js'

const signature: Signature = {
  inputs: [
    { name: 'x', dtype: 'float32', shape: [null, 2] },
    { name: 'names', dtype: 'string', shape: [1] },
  ],
  outputs: [],
}
const x = { dtype: 'float32', shape: [1, 2], data: Float32Array.of(1, 2) }
const names = { dtype: 'string', shape: [1], data: ['a'] }
const unseen = Object.defineProperty({ x }, 'names', { value: names, enumerable: false })

/** What a caller may hand over, and whether it fits. */
const CASES: readonly (readonly [what: string, inputs: unknown, fits: boolean])[] = [
  ['what the signature says', { x, names }, true],
  ['a batch of none', { x: { ...x, shape: [0, 2], data: new Float32Array(0) }, names }, true],
  ['an input that is listed nowhere', unseen, true],
  ['nothing', undefined, false],
  ['null', null, false],
  ['a text', 'x', false],
  ['an input that is missing', { x }, false],
  ['an input that is inherited', Object.assign(Object.create({ names }) as object, { x }), false],
  ['one more', { x, names, y: x }, false],
  ['one under another name', { x, name: names }, false],
  ['null for a tensor', { x: null, names }, false],
  ['another type', { x: { ...x, dtype: 'float64' }, names }, false],
  ['another array', { x: { ...x, data: [1, 2] }, names }, false],
  ['no array', { x: { dtype: 'float32', shape: [1, 2] }, names }, false],
  ['no shape', { x: { ...x, shape: undefined }, names }, false],
  ['a shape that is a typed array', { x: { ...x, shape: Int32Array.of(1, 2) }, names }, false],
  ['more sizes', { x: { ...x, shape: [1, 2, 1] }, names }, false],
  ['another fixed size', { x: { ...x, shape: [2, 1] }, names }, false],
  ['a size in halves', { x: { ...x, shape: [0.5, 2], data: Float32Array.of(1) }, names }, false],
  ['a size below none', { x: { ...x, shape: [-1, 2], data: new Float32Array(0) }, names }, false],
  ['a size that is a text', { x: { ...x, shape: ['1', 2] }, names }, false],
  ['fewer values', { x: { ...x, shape: [2, 2] }, names }, false],
]

describe('inputCheck', () => {
  const check = inputCheck(signature)

  it.each(CASES)('takes a side on %s, and the same as checkInputs', (_, inputs, fits) => {
    const thrown = [check, (given: Tensors) => checkInputs(signature, given)].map((way) => {
      try {
        way(inputs as Tensors)
        return undefined
      } catch (error) {
        return error
      }
    })
    expect(thrown[0]).toEqual(thrown[1])
    if (fits) expect(thrown[0]).toBeUndefined()
    else expect(thrown[0]).toMatchObject({ code: 'INPUT_INVALID' })
  })
})

it('names a type that does not fit as runtimes and as the protocol call it', () => {
  const spec = { dtype: 'float32', shape: [1] } as const
  const told = (dtype: string) => tensorIssues({ dtype, shape: [1], data: [] }, spec)
  expect(told('float64')).toEqual(['type is float64 (FP64), expected float32 (FP32)'])
  for (const dtype of ['FP32', 'constructor'])
    expect(told(dtype)).toEqual([`type is ${dtype}, expected float32 (FP32)`])
})
