import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { expect, it } from 'vitest'
import { writeModel } from '../format/write.js'
import { GraphBuilder } from './graph-builder.js'
import { roundName, unroll } from './unroll.js'
import { floats } from './value.js'

/** sum_next = sum + x · rate + 1; double = 2 · sum_next. */
function step() {
  const g = new GraphBuilder('step')
  const sum = g.input('sum', 'float32', [2])
  const x = g.input('x', 'float32', [2])
  const rate = g.input('rate', 'float32', [])
  const one = g.initializer('one', { dtype: 'float32', shape: [1], data: Float32Array.of(1) })
  const next = g.op('Add', [g.op('Add', [sum, g.op('Mul', [x, rate])]), one], {}, { name: 'sum_next' })
  g.output('sum_next', next)
  g.output('double', g.op('Mul', [next, g.constant(floats('float32', [2]))]))
  return g.build()
}

const vector = (...values: number[]) =>
  ({ dtype: 'float32', shape: [values.length], data: Float32Array.from(values) }) as const
const order = { times: 3, carried: new Map([['sum', 'sum_next']]), shared: new Set(['rate']) }

it('does in one run what as many runs do in a row', async () => {
  const session = await createOnnxNodeRuntime().load(writeModel(unroll(step(), order)))
  const out = await session.run({
    sum: vector(0, 10),
    rate: { dtype: 'float32', shape: [], data: Float32Array.of(0.5) },
    [roundName('x', 0)]: vector(2, 4),
    [roundName('x', 1)]: vector(6, 8),
    [roundName('x', 2)]: vector(10, 12),
  })
  await session.dispose()
  expect(Array.from(out['sum_next']!.data as Float32Array)).toEqual([12, 25])
  const doubles = [0, 1, 2].map((round) => Array.from(out[roundName('double', round)]!.data as Float32Array))
  expect(doubles).toEqual([
    [4, 26],
    [12, 36],
    [24, 50],
  ])
})

it('stores tensors once, and names what it cannot carry', () => {
  expect(unroll(step(), order).graph?.initializer.map(({ name }) => name)).toContain('one')
  expect(unroll(step(), order).graph?.initializer.length).toBe(step().graph?.initializer.length)
  const bad = { ...order, carried: new Map([['sum', 'total']]) }
  expect(() => unroll(step(), bad)).toThrow(expect.objectContaining({ code: 'GRAPH_INVALID' }))
})
