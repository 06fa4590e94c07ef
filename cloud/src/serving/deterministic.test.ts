import { GraphBuilder, makeNode, readModel, writeModel } from '@tideway/onnx'
import { identityModel } from '@tideway/test/support/onnx-models'
import { describe, expect, it } from 'vitest'
import { randomOperators } from './deterministic.js'

function withNode(operator: string, inputs: (x: string) => readonly string[] = (x) => [x]): Uint8Array {
  const model = readModel(identityModel('float32'))
  const x = model.graph?.input[0]?.name ?? ''
  model.graph?.node.push(makeNode(operator, [...inputs(x)], ['drawn']))
  return writeModel(model)
}

describe('the random operators of a model', () => {
  it('are none where it answers alike every time', () => {
    expect(randomOperators(identityModel('float32'))).toEqual([])
    expect(randomOperators(withNode('Dropout'))).toEqual([])
    expect(randomOperators(withNode('Dropout', (x) => [x, '', '']))).toEqual([])
    // Another's operator of that name.
    expect(randomOperators(withNode('org.example.Bernoulli'))).toEqual([])
  })

  it.each(['RandomNormalLike', 'RandomUniformLike', 'Multinomial', 'Bernoulli'])('are found: %s', (operator) => {
    expect(randomOperators(withNode(operator))).toEqual([operator])
  })

  it('are found where dropout may be training', () => {
    expect(randomOperators(withNode('Dropout', (x) => [x, '', 'training']))).toEqual(['Dropout'])
  })

  it('are found in the branches of a condition, within one another', () => {
    const model = readModel(identityModel('float32'))
    const inner = readModel(withNode('RandomNormalLike')).graph!
    const branch = readModel(identityModel('float32')).graph!
    branch.node.push(makeNode('If', ['c'], ['z'], { then_branch: inner, else_branch: inner }))
    model.graph?.node.push(makeNode('If', ['c'], ['y2'], { then_branch: branch, else_branch: branch }))
    expect(randomOperators(writeModel(model))).toEqual(['RandomNormalLike'])
  })

  it('are refused with a file that is no model', () => {
    const g = new GraphBuilder('g')
    g.output('y', g.op('Identity', [g.input('x', 'float32', [1])]))
    expect(() => randomOperators(writeModel(g.build()).subarray(0, 20))).toThrowError(
      expect.objectContaining({ code: 'MODEL_INVALID' }),
    )
  })
})
