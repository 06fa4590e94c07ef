import { resolveColumns, type Signature, type TensorSpec } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { encodeRows, type PlanOrder, planInputs } from './inputs.js'

const spec = (name: string, dtype: TensorSpec['dtype'], shape: TensorSpec['shape']): TensorSpec => ({
  name,
  dtype,
  shape,
})
const taking = (...inputs: TensorSpec[]): Signature => ({ inputs, outputs: [spec('y', 'float32', [null, 1])] })
const rows = (...cells: (string | number | null)[][]) => cells.map((row, at) => ({ place: at + 2, cells: row }))

function encoded(order: PlanOrder, ...cells: (string | number | null)[][]) {
  return encodeRows(planInputs(order), rows(...cells), order.names.length)
}

describe('columns', () => {
  it('feed the one input in the order of the file, of the training, or as they are named', () => {
    const signature = taking(spec('x', 'float32', [null, 2]))
    const two = { signature, names: ['a', 'b'] }
    expect(encoded(two, ['1', '2'], ['3', '4']).inputs?.x).toEqual({
      dtype: 'float32',
      shape: [2, 2],
      data: Float32Array.of(1, 2, 3, 4),
    })
    const three = { signature, names: ['id', 'a', 'b'], features: ['b', 'a'] }
    expect(encoded(three, ['r1', '1', '2']).inputs?.x?.data).toEqual(Float32Array.of(2, 1))
    expect(encoded({ ...three, columns: ['a', 'a'] }, ['r1', '1', '2']).inputs?.x?.data).toEqual(Float32Array.of(1, 1))
    expect(planInputs(three).used).toEqual(new Set([2, 1]))
    // One of them alone is no other order of columns, but one too few.
    const missing = { data: { issues: [expect.stringContaining('the file has no column b')] } }
    expect(() => planInputs({ ...three, names: ['id', 'a'] })).toThrow(expect.objectContaining(missing))
    expect(planInputs({ ...three, names: ['p', 'q'] }).used).toEqual(new Set([0, 1]))
  })

  it('are as many as a free size takes, and fill images', () => {
    const free = { signature: taking(spec('x', 'float32', [null, null])), names: ['a', 'b', 'c'] }
    expect(encoded(free, ['1', '2', '3']).inputs?.x?.shape).toEqual([1, 3])
    const image = { signature: taking(spec('x', 'uint8', [null, 2, 2, 1])), names: ['p0', 'p1', 'p2', 'p3'] }
    expect(encoded(image, ['0', '255', '7', '8']).inputs?.x).toEqual({
      dtype: 'uint8',
      shape: [1, 2, 2, 1],
      data: Uint8Array.of(0, 255, 7, 8),
    })
  })

  it('go to the inputs that they are named as, each in its type', () => {
    const signature = taking(
      spec('age', 'int64', [null]),
      spec('name', 'string', [null, 1]),
      spec('at', 'float16', [null, 2]),
      spec('on', 'bool', [null, 1]),
    )
    const order = { signature, names: ['on', 'at.0', 'at.1', 'name', 'age'] }
    expect(encoded(order, ['true', '1', '0.5', 'x', '9223372036854775807']).inputs).toEqual({
      age: { dtype: 'int64', shape: [1], data: BigInt64Array.of(2n ** 63n - 1n) },
      name: { dtype: 'string', shape: [1, 1], data: ['x'] },
      at: { dtype: 'float16', shape: [1, 2], data: Uint16Array.of(0x3c00, 0x3800) },
      on: { dtype: 'bool', shape: [1, 1], data: Uint8Array.of(1) },
    })
  })

  it('are what their schema says: categories, times and missing values', () => {
    const schema = resolveColumns({
      columns: {
        kind: { type: 'category', values: ['pump', 'fan'] },
        heat: { type: 'number', missing: ['NA'], impute: 'mean', max: 90 },
      },
    })
    const order = { signature: taking(spec('x', 'float32', [null, 2])), names: ['heat', 'id', 'kind'], schema }
    const { inputs, bad } = encoded(
      order,
      ['20', 'a', 'fan'],
      ['NA', 'b', 'pump'],
      ['95', 'c', 'pump'],
      ['1', 'd', 'cat'],
    )
    expect(inputs?.x?.data).toEqual(Float32Array.of(1, 20, 0, Number.NaN))
    expect(bad).toEqual([
      { at: 2, reason: 'heat: a number out of range, must be a number of at most 90' },
      { at: 3, reason: 'kind: text, must be pump or fan' },
    ])
  })

  it.each<[string, PlanOrder, string]>([
    [
      'too many',
      { signature: taking(spec('x', 'float32', [null, 2])), names: ['a', 'b', 'c'] },
      'takes 2 values a row, not 3',
    ],
    [
      'all in one, as with another delimiter',
      { signature: taking(spec('x', 'float32', [null, 2])), names: ['a;b'] },
      'one column, "a;b": perhaps ";" is its --delimiter',
    ],
    [
      'none of the name',
      { signature: taking(spec('x', 'float32', [null, 1])), names: ['a'], columns: ['z'] },
      'no column z',
    ],
    [
      'not all inputs',
      { signature: taking(spec('a', 'int8', [null]), spec('b', 'int8', [null])), names: ['a'] },
      'inputs (a, b)',
    ],
  ])('are refused where they are %s', (_, order, text) => {
    expect(() => planInputs(order)).toThrowError(
      expect.objectContaining({ code: 'PREDICT_ORDER_INVALID', message: expect.stringContaining(text) as string }),
    )
  })
})

describe('a bad row', () => {
  it.each<[string, TensorSpec['dtype'], string | number | null]>([
    ['empty', 'float32', ''],
    ['text', 'float32', '1,5'],
    ['missing', 'float32', null],
    ['a fraction', 'int32', '1.5'],
    ['a number out of range', 'uint8', '256'],
    ['another text', 'bool', 'yes'],
  ])('is told by column and kind, and leaves the others as they are: %s', (kind, dtype, cell) => {
    const order = { signature: taking(spec('x', dtype, [null, 2])), names: ['a', 'b'] }
    const { inputs, good, bad } = encoded(order, ['1', '0'], ['1', cell], ['0', '1'])
    expect(bad).toEqual([{ at: 1, reason: expect.stringMatching(`^b: ${kind}, must be `) as string }])
    expect(good).toEqual([0, 2])
    expect(Array.from(inputs?.x?.data as ArrayLike<number>)).toEqual([1, 0, 0, 1])
  })

  it('has too few or too many fields', () => {
    const order = { signature: taking(spec('x', 'float32', [null, 2])), names: ['a', 'b'] }
    const { inputs, bad } = encoded(order, ['1'], ['1', '2', '3'])
    expect(inputs).toBeUndefined()
    expect(bad.map(({ reason }) => reason)).toEqual([
      'row: too few fields, must be 2 fields',
      'row: too many fields, must be 2 fields',
    ])
  })
})
