import { describe, expect, it } from 'vitest'
import type { TidewayError } from '../errors/error.js'
import { decodeInferRequest } from './request.js'

const x = { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }

const decode = (body: unknown) => decodeInferRequest(new TextEncoder().encode(JSON.stringify(body)))

/** What it throws at this body. */
function refusal(body: unknown): TidewayError<string, { issues: string[] }> {
  try {
    decode(body)
  } catch (error) {
    return error as TidewayError<string, { issues: string[] }>
  }
  throw new Error('it was taken')
}

describe('an inference request', () => {
  it('may hold no more than its inputs', () => {
    const inputs = { x: { dtype: 'float32', shape: [1, 2], data: Float32Array.of(1, 2) } }
    const plain = { id: undefined, inputs, outputs: undefined, int64AsString: false, nonFiniteAsNull: false }
    expect(decode({ inputs: [x] })).toEqual(plain)
    expect(decode({ inputs: [x], outputs: [], parameters: { int64_as_string: 'yes' } })).toEqual(plain)
  })

  it('holds data flat or nested like its shape', () => {
    const nested = [[[1, 2, 3]], [[4, 5, 6]]]
    for (const data of [nested, nested.flat(2)])
      expect(decode({ inputs: [{ ...x, shape: [2, 1, 3], data }] }).inputs.x).toEqual({
        dtype: 'float32',
        shape: [2, 1, 3],
        data: Float32Array.of(1, 2, 3, 4, 5, 6),
      })
    expect(decode({ inputs: [{ ...x, shape: [2, 0], data: [[], []] }] }).inputs.x?.data).toHaveLength(0)
  })

  it('holds 64-bit integers as numbers or as strings of digits', () => {
    const data = [-(2 ** 53) + 1, 2 ** 53 - 1, '9007199254740993', '-9223372036854775808']
    const { inputs } = decode({ inputs: [{ name: 'n', datatype: 'INT64', shape: [4], data }] })
    expect([...(inputs.n?.data ?? [])]).toEqual([
      -9007199254740991n,
      9007199254740991n,
      9007199254740993n,
      -(2n ** 63n),
    ])
  })

  it('holds booleans as 0 and 1, too', () => {
    const { inputs } = decode({
      inputs: [{ ...x, datatype: 'BOOL', shape: [4], data: [true, 0, 1, false] }],
    })
    expect(inputs.x?.data).toEqual(Uint8Array.of(1, 0, 1, 0))
  })

  it('may name a tensor like something that every object has', () => {
    const { inputs } = decode({ inputs: [{ ...x, name: '__proto__' }] })
    expect(Object.keys(inputs)).toEqual(['__proto__'])
  })
})

describe('a bad inference request', () => {
  it.each<[string, unknown, string[]]>([
    ['that is null', null, ['(root)']],
    ['that is a list', [], ['(root)']],
    ['with no inputs', {}, ['inputs']],
    ['with an empty list of inputs', { inputs: [] }, ['inputs']],
    ['with inputs by name', { inputs: { x } }, ['inputs']],
    ['with inputs that are no objects', { inputs: [1, null] }, ['inputs.0', 'inputs.1']],
    ['with an id that is a number', { id: 1, inputs: [x] }, ['id']],
    [
      'with everything of an input wrong',
      { inputs: [{ shape: [-1], datatype: 'FLOAT', data: 1 }] },
      ['inputs.0.name', 'inputs.0.datatype', 'inputs.0.shape', 'inputs.0.data'],
    ],
    ['with a datatype that is no own name', { inputs: [{ ...x, datatype: 'toString' }] }, ['inputs.0.datatype']],
    ['with an input twice', { inputs: [x, x] }, ['inputs.1.name']],
    ['with too few values', { inputs: [{ ...x, data: [1] }] }, ['inputs.0.data']],
    ['with a row too few', { inputs: [{ ...x, shape: [2, 2], data: [[1, 2]] }] }, ['inputs.0.data']],
    ['with ragged rows', { inputs: [{ ...x, shape: [2, 2], data: [[1, 2], [3]] }] }, ['inputs.0.data']],
    ['with a value for a row', { inputs: [{ ...x, shape: [2, 1], data: [[1], 2] }] }, ['inputs.0.data']],
    ['with a list for a scalar', { inputs: [{ ...x, shape: [], data: [[1]] }] }, ['inputs.0.data']],
    ['nested too deep', { inputs: [{ ...x, data: [[[1], [2]]] }] }, ['inputs.0.data.0', 'inputs.0.data.1']],
    ['with too many dimensions', { inputs: [{ ...x, shape: Array(17).fill(1) }] }, ['inputs.0.shape']],
    ['with a shape of too many elements', { inputs: [{ ...x, shape: [2 ** 31, 2 ** 20] }] }, ['inputs.0.shape']],
    ['with null for a number', { inputs: [{ ...x, data: [null, '2'] }] }, ['inputs.0.data.0', 'inputs.0.data.1']],
    ['with a float that does not fit', { inputs: [{ ...x, data: [1e39, 1] }] }, ['inputs.0.data.0']],
    [
      'with half of a pair for text',
      { inputs: [{ ...x, datatype: 'BYTES', data: ['\ud800', 'a'] }] },
      ['inputs.0.data.0'],
    ],
    [
      'with a bfloat16 that does not fit',
      { inputs: [{ ...x, datatype: 'BF16', data: [1, 3.4e38] }] },
      ['inputs.0.data.1'],
    ],
    ['with parameters that are no object', { inputs: [{ ...x, parameters: 1 }] }, ['inputs.0.parameters']],
    [
      'that wants what is not there',
      {
        inputs: [{ ...x, parameters: { shared_memory_region: 'r' } }],
        outputs: [{ name: 'y', parameters: { classification: 3 } }],
        parameters: { binary_data_output: 1 },
      },
      [
        'inputs.0.parameters.shared_memory_region',
        'parameters.binary_data_output',
        'outputs.0.parameters.classification',
      ],
    ],
    ['with a half that does not fit', { inputs: [{ ...x, datatype: 'FP16', data: [1, 70_000] }] }, ['inputs.0.data.1']],
    [
      'with integers that do not fit',
      { inputs: [{ ...x, datatype: 'UINT8', shape: [4], data: [256, -1, 1.5, '1'] }] },
      ['inputs.0.data.0', 'inputs.0.data.1', 'inputs.0.data.2', 'inputs.0.data.3'],
    ],
    [
      'with 64-bit integers that do not fit',
      { inputs: [{ ...x, datatype: 'INT64', shape: [5], data: [2 ** 63, '9223372036854775808', 1.5, '1e3', true] }] },
      ['inputs.0.data.0', 'inputs.0.data.1', 'inputs.0.data.2', 'inputs.0.data.3', 'inputs.0.data.4'],
    ],
    ['with a negative UINT64', { inputs: [{ ...x, datatype: 'UINT64', data: [-1, '-0'] }] }, ['inputs.0.data.0']],
    [
      'with text for true',
      { inputs: [{ ...x, datatype: 'BOOL', data: ['true', 2] }] },
      ['inputs.0.data.0', 'inputs.0.data.1'],
    ],
    ['with a number for text', { inputs: [{ ...x, datatype: 'BYTES', data: [1, 'a'] }] }, ['inputs.0.data.0']],
    ['with outputs that are no list', { inputs: [x], outputs: 'y' }, ['outputs']],
    ['with outputs without a name', { inputs: [x], outputs: [{}, null] }, ['outputs.0.name', 'outputs.1.name']],
    ['with an output twice', { inputs: [x], outputs: [{ name: 'y' }, { name: 'y' }] }, ['outputs.1.name']],
    [
      'with two inputs both wrong',
      {
        inputs: [
          { ...x, data: [] },
          { ...x, name: 'z', shape: 'no' },
        ],
      },
      ['inputs.0.data', 'inputs.1.shape'],
    ],
  ])('%s is refused by the names of its fields', (_, body, fields) => {
    const { code, data } = refusal(body)
    expect(code).toBe('INPUT_REJECTED')
    expect(data.issues.map((issue) => issue.slice(0, issue.indexOf(': ')))).toEqual(fields)
  })

  it('is told to write large integers as digits', () => {
    const text = '{"inputs":[{"name":"n","datatype":"INT64","shape":[2],"data":[1e18,1.5]}]}'
    expect(() => decodeInferRequest(new TextEncoder().encode(text))).toThrowError(
      expect.objectContaining({
        data: {
          what: 'the inference request',
          issues: [
            'inputs.0.data.0: is beyond 2^53: write it as digits alone',
            'inputs.0.data.1: must be a whole number',
          ],
        },
      }),
    )
  })

  it('of very many wrong values is refused with a few of them, and without its texts', () => {
    const error = refusal({ inputs: [{ ...x, shape: [10_000], data: Array(10_000).fill('secret') }] })
    expect(error.data.issues).toHaveLength(20)
    expect(error.message).not.toContain('secret')
  })
})
