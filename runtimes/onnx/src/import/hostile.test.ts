import { codeOf } from '@tideway/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { graphOf, makeNode } from '../format/node.js'
import { readModel, readTensor } from '../format/read.js'
import { fromTensor } from '../format/tensor.js'
import { writeModel } from '../format/write.js'
import type { Model } from '../generated/onnx_pb.js'
import { copied, f32, i64, modelOf, spec, wave } from './import.fixture.js'
import { importModel } from './import.js'

const node = makeNode

/** A small network with most of what files have: attributes of every kind, typed constants, a branch, shape computations. */
function network(): Model {
  return modelOf({
    opset: 13,
    inputs: [spec('x', [null, 8])],
    outputs: [spec('y', [null, 3])],
    nodes: [
      node('Shape', ['x'], ['shape']),
      node('Slice', ['shape', 'zero', 'one'], ['rows']),
      node('Concat', ['rows', 'rest'], ['wanted'], { axis: 0n }),
      node('Reshape', ['x', 'wanted'], ['r']),
      node('Constant', [], ['c'], { value: f32([2]) }),
      node('Mul', ['r', 'c'], ['m'], {}, 'scaled'),
      node('MatMul', ['m', 'w'], ['p'], {}, 'dense'),
      node('Add', ['p', 'b'], ['s']),
      node('Softmax', ['s'], ['y'], { axis: -1n }),
    ],
    tensors: { w: wave([8, 3]), b: f32([1, 2, 3]), zero: i64(0), one: i64(1), rest: i64(8) },
  })
}

/** The code with which bytes are refused; undefined for a model. Anything else is thrown on. */
function codeFrom(work: () => unknown): string | undefined {
  try {
    work()
  } catch (error) {
    const code = codeOf(error)
    if (code === undefined) throw error
    return code
  }
  return undefined
}

describe('a file that was damaged gives a coded error or a model', () => {
  const bytes = writeModel(network())

  it('wherever it is cut off', () => {
    for (let length = 0; length < bytes.byteLength; length++)
      expect(codeFrom(() => copied(bytes.subarray(0, length)))).toBeDefined()
  })

  it('whatever bytes are altered, put in or left out', () => {
    const edit = fc.tuple(fc.nat(bytes.byteLength - 1), fc.nat(255), fc.constantFrom('set', 'insert', 'remove'))
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => {
        const altered = Array.from(bytes)
        for (const [at, value, kind] of edits)
          altered.splice(at, kind === 'insert' ? 0 : 1, ...(kind === 'remove' ? [] : [value]))
        codeFrom(() => copied(Uint8Array.from(altered)))
      }),
      { numRuns: 3000, interruptAfterTimeLimit: 4000, markInterruptAsFailure: false },
    )
  })

  it('when its numbers are the largest there are', () => {
    fc.assert(
      fc.property(fc.nat(bytes.byteLength - 1), fc.constantFrom(0xff, 0x7f, 0x80), fc.nat(9), (at, value, run) => {
        codeFrom(() => copied(bytes.slice().fill(value, at, at + run + 1)))
      }),
      { numRuns: 1000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false },
    )
  })
})

/** The reasons that a hostile model is refused with. */
function refusalOf(change: (model: Model) => void): { code: string | undefined; text: string } {
  const model = network()
  change(model)
  try {
    copied(writeModel(model))
  } catch (error) {
    return { code: codeOf(error), text: (error as Error).message }
  }
  return { code: undefined, text: '' }
}

describe('a hostile model is refused, by code', () => {
  const cases: Readonly<Record<string, [(model: Model) => void, string, string]>> = {
    'with a cycle': [
      (model) => graphOf(model).node.push(node('Add', ['u', 'x'], ['v'], {}, 'a'), node('Neg', ['v'], ['u'], {}, 'b')),
      'MODEL_GRAPH_INVALID',
      'cycle',
    ],
    'with a node that takes its own output': [
      (model) => graphOf(model).node.push(node('Add', ['u', 'x'], ['u'], {}, 'a')),
      'MODEL_GRAPH_INVALID',
      'node "a" (Add) takes what depends on it',
    ],
    'that gives a name twice': [
      (model) => graphOf(model).node.push(node('Neg', ['x'], ['y'], {}, 'again')),
      'MODEL_GRAPH_INVALID',
      '"y" is given twice',
    ],
    'with two tensors of one name': [
      (model) => graphOf(model).initializer.push(fromTensor('w', f32([1]))),
      'MODEL_GRAPH_INVALID',
      'initializer "w" is there twice',
    ],
    'with a missing tensor': [
      (model) => {
        graphOf(model).initializer = graphOf(model).initializer.filter(({ name }) => name !== 'w')
      },
      'MODEL_GRAPH_INVALID',
      'node "dense" (MatMul) takes "w", which nothing gives',
    ],
    'with an output that nothing gives': [
      (model) => {
        graphOf(model).output[0]!.name = 'z'
      },
      'MODEL_GRAPH_INVALID',
      'output "z" is given by nothing',
    ],
    'with sizes whose product overflows': [
      (model) => {
        graphOf(model).initializer[0]!.dims = [2n ** 62n, 2n ** 62n]
      },
      'MODEL_INVALID',
      'larger than any file',
    ],
    'with endless axes': [
      (model) => {
        graphOf(model).initializer[0]!.dims = Array.from({ length: 100_000 }, () => 1n)
      },
      'MODEL_INVALID',
      '100000 axes',
    ],
    'of an operator set before ours': [
      (model) => {
        model.opsetImport[0]!.version = 8n
      },
      'MODEL_OPSET_UNSUPPORTED',
      'operator set 8',
    ],
    'of an operator set yet to come': [
      (model) => {
        model.opsetImport[0]!.version = 2n ** 62n
      },
      'MODEL_OPSET_UNSUPPORTED',
      '9 to 23',
    ],
    'with a loop': [
      (model) => graphOf(model).node.push(node('Loop', ['x'], ['l'], {}, 'again')),
      'OPERATOR_UNSUPPORTED',
      '"again" (Loop: control flow',
    ],
    'with an operator of another domain': [
      (model) => {
        graphOf(model).node[6]!.domain = 'com.example'
      },
      'OPERATOR_UNSUPPORTED',
      '"dense" (MatMul: domain "com.example" is unknown',
    ],
    'named like a part of every object': [
      (model) => {
        graphOf(model).node[6]!.opType = 'constructor'
      },
      'OPERATOR_UNSUPPORTED',
      'constructor',
    ],
    'that asks for more memory than there is by a constant': [
      (model) => {
        graphOf(model).node[5] = node('ConstantOfShape', ['wide'], ['m'])
        graphOf(model).initializer.push(
          fromTensor('wide', { dtype: 'int64', shape: [2], data: BigInt64Array.of(2n ** 40n, 9n) }),
        )
      },
      'NODE_INVALID',
      'do not fit',
    ],
  }
  for (const [title, [change, code, text]] of Object.entries(cases)) {
    it(title, () => {
      const found = refusalOf(change)
      expect(found.code).toBe(code)
      expect(found.text).toContain(text)
    })
  }
})

it('a long chain in reverse order is sorted in one go', () => {
  const length = 50_000
  const nodes = Array.from({ length }, (_, at) =>
    node('Neg', [at === 0 ? 'x' : `v${at}`], [at === length - 1 ? 'y' : `v${at + 1}`]),
  )
  const model = modelOf({ opset: 13, nodes: nodes.toReversed() })
  expect(importModel(model).nodes.map(({ outputs }) => outputs[0])).toEqual(nodes.map(({ output }) => output[0]))
})

it('reads a tensor by itself, and refuses one that is damaged', () => {
  const model = readModel(writeModel(network()))
  const tensor = graphOf(model).initializer[0]!
  expect(tensor.name).toBe('w')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      codeFrom(() => readTensor(bytes))
    }),
  )
})
