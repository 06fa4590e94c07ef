import { GraphBuilder, type Value, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { expect, it } from 'vitest'
import { answersRowsAlone } from './independent.js'

type Build = (g: GraphBuilder, x: Value) => Value

const scalar = (g: GraphBuilder, number: number) =>
  g.constant({ dtype: 'float32', shape: [], data: Float32Array.of(number) })

it.each<[string, boolean, Build]>([
  ['a sum with a number', true, (g, x) => g.op('Add', [x, scalar(g, 1)])],
  ['a softmax of each row', true, (g, x) => g.op('Softmax', [x], { axis: 1n })],
  ['a softmax over the rows', false, (g, x) => g.op('Softmax', [x], { axis: 0n })],
  [
    'a running sum along the first axis, as of time',
    false,
    (g, x) => g.op('CumSum', [x, g.constant({ dtype: 'int64', shape: [], data: BigInt64Array.of(0n) })]),
  ],
])('tells whether rows are answered as alone: %s', async (_, expected, build) => {
  const g = new GraphBuilder('rows')
  g.output('y', build(g, g.input('x', 'float32', [null, 3])))
  const session = await createOnnxNodeRuntime().load(writeModel(g.build()))
  expect(await answersRowsAlone(session)).toBe(expected)
  await session.dispose()
})
