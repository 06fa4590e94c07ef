import { describe, expect, it } from 'vitest'
import { GraphBuilder } from './graph-builder.js'
import { int64s, type Value } from './value.js'

const vector = (g: GraphBuilder, ...values: readonly number[]): Value => g.constant(int64s(values))
const scalar = (g: GraphBuilder, value: number): Value => g.constant({ ...int64s([value]), shape: [] })

describe('shapes that a graph computes from shapes', () => {
  const open = () => {
    const g = new GraphBuilder('shapes')
    return { g, x: g.input('x', 'float32', [null, 'steps', 4, 6]) }
  }

  it('are followed through what exporters write for a view: Shape, Gather, Unsqueeze, Concat, Reshape', () => {
    const { g, x } = open()
    const size = (axis: number): Value =>
      g.op('Unsqueeze', [g.op('Gather', [g.op('Shape', [x]), scalar(g, axis)], { axis: 0n }), vector(g, 0)])
    const rows = g.op('Concat', [size(0), size(1), vector(g, -1)], { axis: 0n })
    expect(g.op('Reshape', [x, rows]).shape).toEqual(['batch', 'steps', 24])
    const folded = g.op('Concat', [vector(g, -1), g.op('Mul', [size(2), size(3)])], { axis: 0n })
    expect(g.op('Reshape', [x, folded]).shape.at(-1)).toBe(24)
  })

  it('are followed through slices, arithmetic and the -1 of an expand', () => {
    const { g, x } = open()
    const tail = g.op('Slice', [g.op('Shape', [x]), vector(g, -2), vector(g, 2 ** 40)])
    const halves = g.op('Div', [tail, vector(g, 2)])
    expect(g.op('ConstantOfShape', [halves]).shape).toEqual([2, 3])
    const wanted = vector(g, -1, 5)
    const ones = g.op('ConstantOfShape', [g.op('Shape', [wanted])], { value: int64s([1]) })
    const sizes = g.op('Where', [g.op('Equal', [wanted, vector(g, -1)]), ones, wanted])
    const column = g.op('Reshape', [g.input('column', 'float32', ['rows']), vector(g, -1, 1)])
    expect(g.op('Expand', [column, sizes]).shape).toEqual(['rows', 5])
  })

  it('stay unknown, under names of their own, where they hang on data', () => {
    const { g, x } = open()
    const many = g.op('Gather', [g.op('Shape', [g.op('NonZero', [x])]), vector(g, 1)])
    const [rows, ...rest] = g.op('Reshape', [g.input('flat', 'float32', ['n']), many]).shape
    expect(rest).toEqual([])
    expect(rows).not.toBe('n')
    const [unlike] = g.op('Reshape', [x, g.input('shape', 'int64', [2])]).shape
    expect(['batch', 'steps', 4, 6]).not.toContain(unlike)
  })

  it('leave a -1 open unless the names on both sides cancel', () => {
    const { g } = open()
    const flat = g.input('flat2', 'float32', ['n', 4])
    const shape = g.op('Shape', [flat])
    const n = g.op('Gather', [shape, vector(g, 0)])
    expect(g.op('Reshape', [flat, g.op('Concat', [n, n, vector(g, -1)], { axis: 0n })]).shape[2]).not.toBe(4)
    expect(g.op('Reshape', [flat, g.op('Concat', [n, vector(g, -1)], { axis: 0n })]).shape).toEqual(['n', 4])
  })
})

describe('common sub-expressions', () => {
  it('are one node: the same operator, inputs and attributes', () => {
    const g = new GraphBuilder('shared')
    const [x, y] = [g.input('x', 'float32', [2, 3]), g.input('y', 'float32', [2, 3])]
    expect(g.op('Add', [x, y])).toBe(g.op('Add', [y, x]))
    expect(g.op('Softmax', [x], { axis: 1n })).toBe(g.op('Softmax', [x], { axis: 1n }))
    expect(g.ops('TopK', [x, vector(g, 2)])[1]).toBe(g.ops('TopK', [x, vector(g, 2)])[1])
    expect(g.nodes).toHaveLength(3)
  })

  it('are kept apart by order, attribute, number of outputs, and by a name asked for', () => {
    const g = new GraphBuilder('apart')
    const [x, y] = [g.input('x', 'float32', [2, 2]), g.input('y', 'float32', [2, 2])]
    const different = [
      g.op('Sub', [x, y]),
      g.op('Sub', [y, x]),
      g.op('Softmax', [x], { axis: 0n }),
      g.op('Softmax', [x], { axis: 1n }),
      g.op('LeakyRelu', [x], { alpha: 0 }),
      g.op('LeakyRelu', [x], { alpha: -0 }),
      g.op('Exp', [x]),
      g.op('Exp', [x], {}, { name: 'mine' }),
      ...g.ops('Split', [x], {}, { outputs: 1 }),
      ...g.ops('Split', [x], {}, { outputs: 2 }),
    ]
    expect(new Set(different.map(({ name }) => name)).size).toBe(different.length)
  })

  it('are never drawn from chance: two dropouts are two', () => {
    const g = new GraphBuilder('random')
    const x = g.input('x', 'float32', [4])
    const training = g.constant({ dtype: 'bool', shape: [], data: Uint8Array.of(1) })
    expect(g.op('Dropout', [x, undefined, training])).not.toBe(g.op('Dropout', [x, undefined, training]))
  })
})
