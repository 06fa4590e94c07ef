import { describe, expect, it } from 'vitest'
import type { DataType } from '../contracts/tensor.js'
import { datatypeOf, datatypes, dtypeOf } from './datatypes.js'
import { everyType } from './inference.fixture.js'
import { decodeModelMetadata, encodeModelMetadata } from './metadata.js'

describe('the metadata of a model', () => {
  it('has -1 for a free dimension, and comes back as it was', () => {
    const inputs = Object.entries(everyType).map(([name, { dtype }]) => ({ name, dtype, shape: [null, 2] }))
    const metadata = { name: 'm', versions: ['1', '3'], platform: 'p', inputs, outputs: inputs.slice(0, 1) }
    const document = encodeModelMetadata(metadata)
    expect(document.outputs).toEqual([{ name: 'float32', datatype: 'FP32', shape: [-1, 2] }])
    expect(decodeModelMetadata(JSON.parse(JSON.stringify(document)))).toEqual(metadata)
  })

  it('is refused by the names of its bad fields', () => {
    const inputs = [{ name: 1, datatype: 'FP7', shape: [-2] }, null]
    const fields = ['name', 'platform', 'versions', 'inputs.0.name', 'inputs.0.datatype', 'inputs.0.shape']
    const more = ['inputs.1.name', 'inputs.1.datatype', 'inputs.1.shape', 'outputs']
    const issues = [...fields, ...more].map((field) => expect.stringContaining(`${field}: `) as string)
    expect(() => decodeModelMetadata({ versions: [1], inputs })).toThrowError(
      expect.objectContaining({ code: 'INPUT_REJECTED', data: { what: "the model's metadata", issues } }),
    )
    expect(() => decodeModelMetadata(null)).toThrowError(expect.objectContaining({ code: 'INPUT_REJECTED' }))
  })
})

describe('datatypes', () => {
  it('are named for every element type, one to one', () => {
    const dtypes = [...new Set(Object.values(everyType).map(({ dtype }): DataType => dtype))]
    expect(dtypes.map((dtype) => dtypeOf(datatypeOf(dtype)))).toEqual(dtypes)
    expect([...datatypes].sort()).toEqual(dtypes.map(datatypeOf).sort())
    for (const other of ['BF32', 'fp32', 'constructor', 3, undefined]) expect(dtypeOf(other)).toBeUndefined()
  })
})
