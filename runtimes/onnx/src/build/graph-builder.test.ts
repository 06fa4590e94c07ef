import { codeOf } from '@tideway/core'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { graphOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { signatureOf } from '../format/signature.js'
import { writeModel } from '../format/write.js'
import { CALLS } from './calls/index.fixture.js'
import { GraphBuilder } from './graph-builder.js'
import { INFER } from './infer.js'
import { type Dim, floats, int64s, type Value } from './value.js'

function codeFrom(work: () => unknown): string | undefined {
  try {
    work()
  } catch (error) {
    return codeOf(error)
  }
  return undefined
}

const ints = (g: GraphBuilder, values: readonly number[]): Value => g.constant(int64s(values))

describe('shape inference', () => {
  it('has a case here for every rule of an ONNX operator', () => {
    // An engine's own, with a domain, run where the engine has them: the trainer's tests compare those.
    const standard = Object.keys(INFER).filter((operator) => !operator.includes('.'))
    expect(Object.keys(CALLS).sort()).toEqual(standard.sort())
  })

  for (const [operator, call] of Object.entries(CALLS)) {
    it(`of ${operator} says what onnxruntime gives, for a fixed and a free batch`, async () => {
      for (const batch of [2, null]) {
        const g = new GraphBuilder('inference')
        const x = g.input('x', 'float32', [batch, 3])
        const y = g.input('y', 'float32', [3])
        const made = call(g, x, y)
        const outputs = Array.isArray(made) ? made : [made]
        for (const [at, value] of outputs.entries()) g.output(`out${at}`, value)
        const session = await InferenceSession.create(writeModel(g.build()), { logSeverityLevel: 3 })
        const feeds = {
          x: new Tensor('float32', Float32Array.of(1, 2, 3, 0.5, 5, 6), [2, 3]),
          y: new Tensor('float32', Float32Array.of(1, 9, 2), [3]),
        }
        const results = await session.run(
          Object.fromEntries(session.inputNames.map((name) => [name, feeds[name as 'x' | 'y']])),
        )
        await session.release()
        for (const [at, value] of outputs.entries()) {
          const result = results[`out${at}`]
          expect(result?.type).toBe(value.dtype)
          expect(matches(value.shape, result?.dims ?? []), `[${value.shape.join()}] for ${result?.dims.join()}`).toBe(
            true,
          )
        }
      }
    })
  }
})

/** Known sizes are equal; "batch" is 2. */
function matches(shape: readonly Dim[], dims: readonly number[]): boolean {
  return (
    shape.length === dims.length &&
    shape.every((size, axis) => (size === 'batch' ? 2 : typeof size === 'string' ? dims[axis] : size) === dims[axis])
  )
}

describe('GraphBuilder', () => {
  it('gives the same bytes for the same calls', () => {
    const build = (): Uint8Array => {
      const g = new GraphBuilder('same')
      const x = g.input('x', 'float32', [null, 2])
      const w = g.initializer('w', floats('float32', [1, 2, 3, 4], [2, 2]))
      g.output('y', g.op('Mul', [g.op('Gemm', [x, w], { transB: 1n, alpha: 0.5 }), g.constant(floats('float32', [2]))]))
      return writeModel(g.build())
    }
    expect(Buffer.compare(build(), build())).toBe(0)
  })

  it('keeps names, free sizes and outputs, and leaves out what no output needs', () => {
    const g = new GraphBuilder('pruned')
    const x = g.input('x', 'float32', [null, 2])
    g.op('Exp', [g.op('Mul', [x, g.initializer('unused', floats('float32', [1]))])])
    g.output('y', g.op('Relu', [x], {}, { name: 'hidden' }))
    g.output('z', g.op('Neg', [x], {}, { name: 'z' }))
    const model = readModel(writeModel(g.build()))
    expect(graphOf(model).node.map((node) => [node.opType, ...node.output])).toEqual([
      ['Relu', 'hidden'],
      ['Neg', 'z'],
      ['Identity', 'y'],
    ])
    expect(graphOf(model).initializer).toEqual([])
    expect(signatureOf(model).outputs.map(({ name, shape }) => [name, shape])).toEqual([
      ['y', [null, 2]],
      ['z', [null, 2]],
    ])
  })

  it('shares equal constants, but not 0 and -0', () => {
    const g = new GraphBuilder('constants')
    expect(g.constant(floats('float32', [0])).name).toBe(g.constant(floats('float32', [0])).name)
    expect(g.constant(floats('float32', [-0])).name).not.toBe(g.constant(floats('float32', [0])).name)
    expect(g.constant(floats('float32', [0], [1])).name).not.toBe(g.constant(floats('float32', [0])).name)
  })

  it('refuses what does not fit, with GRAPH_INVALID', () => {
    const g = new GraphBuilder('refused')
    const x = g.input('x', 'float32', [2, 3])
    const double = g.input('double', 'float64', [2, 3])
    for (const work of [
      () => g.op('Add', [x, g.input('other', 'float32', [2, 4])]),
      () => g.op('Add', [x, double]),
      () => g.op('MatMul', [x, x]),
      () => g.op('Gemm', [x, g.input('cube', 'float32', [1, 3, 3])]),
      () => g.op('Softmax', []),
      () => g.op('Conv', [x]),
      () => g.op('ReduceMean', [x], { axes: [2n] }),
      () => g.op('Reshape', [x, ints(g, [4, -1])]),
      () => g.input('x', 'float32', []),
    ]) {
      expect(codeFrom(work)).toBe('GRAPH_INVALID')
    }
  })
})
