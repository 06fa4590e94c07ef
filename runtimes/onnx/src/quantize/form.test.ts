import { type Recipe, SCHEMES } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { graphOf, makeNode } from '../format/node.js'
import { readModel } from '../format/read.js'
import { writeModel } from '../format/write.js'
import { formOf } from './form.js'
import { classifier, uniform, valuesFrom } from './models.fixture.js'
import { createQuantizer } from './recipes.js'
import { runtime } from './schemes.fixture.js'

const values = valuesFrom(uniform(5))
const float = classifier([values(32, 24), values(24), values(10, 24), values(10)])

describe('the form of a model', () => {
  it('is fp32 for a float model, which needs nothing', () => {
    expect(formOf(readModel(float))).toEqual({ precision: 'fp32', requires: [] })
  })

  it.each(SCHEMES)('is what the quantizer says that it made: %s', async (scheme) => {
    const made = await createQuantizer().quantize(float, { x: values(60, 32) }, runtime, { scheme } as Recipe)
    expect(formOf(readModel(made.onnx))).toEqual({ precision: made.precision, requires: made.requires ?? [] })
  })

  it.each([
    [
      'com.microsoft.DynamicQuantizeLSTM',
      {},
      { precision: 'int8', requires: ['operator:com.microsoft.DynamicQuantizeLSTM'] },
    ],
    [
      'com.microsoft.MatMulNBits',
      { bits: 8n },
      { precision: 'int8', requires: ['operator:com.microsoft.MatMulNBits'] },
    ],
    [
      'com.microsoft.MatMulNBits',
      { bits: 4n },
      { precision: 'int4', requires: ['operator:com.microsoft.MatMulNBits'] },
    ],
    ['com.microsoft.MatMulBnb4', {}, { precision: 'int4', requires: [] }],
    // Of another maker.
    ['org.other.QuantizeLinear', {}, { precision: 'fp32', requires: [] }],
    ['org.other.MatMulNBits', { bits: 4n }, { precision: 'fp32', requires: [] }],
  ] as const)('is seen within the branches of an If: %s %o', (operator, attributes, form) => {
    const branch = new GraphBuilder('branch')
    branch.output('then', branch.op('Identity', [branch.input('z', 'float32', [1])]))
    const body = graphOf(readModel(writeModel(branch.build())))
    body.node.push(makeNode(operator, ['z'], ['other'], attributes))
    const model = readModel(float)
    graphOf(model).node.push(makeNode('If', ['condition'], ['out'], { then_branch: body, else_branch: body }))
    expect(formOf(model)).toEqual(form)
  })
})
