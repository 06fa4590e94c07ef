import { resolveColumns } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { int64s } from '../build/value.js'
import { fitColumns } from '../columns/fit.js'
import { columnTransform } from '../columns/transform.js'
import { graphOf, makeNode } from '../format/node.js'
import { readModel } from '../format/read.js'
import { writeModel } from '../format/write.js'
import type { Node } from '../generated/onnx_pb.js'
import { missingIn } from './missing.js'
import { floats, modelOf, normal, runOnce, uniform } from './models.fixture.js'
import { createInt8Quantizer } from './quantizer.js'
import { viewOf } from './view.js'

const runtime = createOnnxNodeRuntime()
const int8 = (onnx: Uint8Array, data: Float32Array, width: number) =>
  createInt8Quantizer().quantize(onnx, { x: floats([data.length / width, width], data) }, runtime, {
    precision: 'int8',
  })

const ROWS = 120
const schema = resolveColumns({
  columns: {
    flow: { type: 'number', impute: 'mean', scale: 'standard' },
    kind: { type: 'category', values: ['a', 'b', 'c'], impute: 'mostFrequent', unknown: 'other' },
    level: { type: 'number', scale: 'minMax' },
    odd: { type: 'category', values: ['x', 'y'] },
    current: { type: 'number', impute: 'median' },
  },
})
const [FLOW, KIND, LEVEL, ODD, CURRENT] = [0, 1, 2, 3, 4] as const
const WIDTH = 5

/** Readings with about a fifth of flow, kind and current missing. */
function readings(): Float32Array {
  const random = uniform(3)
  return Float32Array.from({ length: ROWS * WIDTH }, (_, at) => {
    const place = at % WIDTH
    const missing = random() < 0.2 && place !== LEVEL && place !== ODD
    const value = [random() * 10 + 90, Math.floor(random() * 3), random(), at % 2, random() * 4 - 2][place] ?? 0
    return missing ? Number.NaN : value
  })
}

/** Columns to numbers, then a dense layer. */
function columnsModel(data: Float32Array): Uint8Array {
  const g = new GraphBuilder('columns')
  const x = g.input('x', 'float32', [null, WIDTH])
  const numbers = columnTransform(g, x, schema, fitColumns(floats([ROWS, WIDTH], data), schema))
  const inner = Number(numbers.shape[1])
  const weights = g.initializer('w', floats([inner, 4], normal(inner * 4, 0.4, uniform(9))))
  g.output('y', g.op('Gemm', [numbers, weights]))
  return writeModel(g.build())
}

describe('missing values in calibration rows', () => {
  it('are taken where the model fills them, which stays in float', async () => {
    const data = readings()
    const onnx = columnsModel(data)
    const { onnx: quantized, kept } = await int8(onnx, data, WIDTH)
    expect(kept.map(({ node }) => node).join()).toMatch(/Where/)
    // The only integers are made of what comes behind the columns.
    const { node } = graphOf(readModel(quantized))
    const rounded = node.filter(({ opType }) => opType === 'QuantizeLinear').map(({ input }) => input[0] ?? '')
    expect(rounded.map((name) => node.find(({ output }) => output.includes(name))?.opType)).toEqual(['Concat'])
    const x = floats([ROWS, WIDTH], data)
    const [wanted, actual] = [await runOnce(runtime, onnx, { x }), await runOnce(runtime, quantized, { x })]
    expect(wanted.every(Number.isFinite)).toBe(true)
    const peak = Math.max(...wanted.map(Math.abs))
    for (const [at, value] of actual.entries()) expect(Math.abs(value - (wanted[at] ?? 0))).toBeLessThan(0.03 * peak)
  })

  it.each([
    ['infinity in a column that is filled', FLOW, Number.POSITIVE_INFINITY],
    ['minus infinity in a category', KIND, Number.NEGATIVE_INFINITY],
    ['NaN in a number that lets nothing be missing', LEVEL, Number.NaN],
    ['NaN in a category that lets nothing be missing', ODD, Number.NaN],
  ])('are refused: %s', async (_, place, value) => {
    const data = readings()
    const onnx = columnsModel(data)
    data[7 * WIDTH + place] = value
    await expect(int8(onnx, data, WIDTH)).rejects.toMatchObject({
      code: 'CALIBRATION_INVALID',
      data: { issues: ['x: row 7 holds a value that is not finite'] },
    })
  })

  it('are known from the graph, place by place', () => {
    const mayMiss = missingIn(viewOf(graphOf(readModel(columnsModel(readings())))))
    const places = [FLOW, KIND, LEVEL, ODD, CURRENT].filter((place) => mayMiss('x', place))
    expect(places).toEqual([FLOW, KIND, CURRENT])
  })
})

describe('an input with another reader than the one that fills it', () => {
  const fill = floats([2], [5, Number.NaN])
  const one = floats([], [1])
  const test = makeNode('IsNaN', ['x'], ['missing'])
  const filled = makeNode('Where', ['missing', 'fill', 'x'], ['y'])
  const graph = (...node: Node[]) => {
    const constants = { fill, one, first: int64s([0]), last: int64s([-1]), both: int64s([1, 0]) }
    return graphOf(
      readModel(
        modelOf({
          input: [{ name: 'x', dtype: 'float32', shape: [null, 2] }],
          output: { name: 'y', dtype: 'float32', shape: [null, 2] },
          node,
          constants,
        }),
      ),
    )
  }
  const places = (...node: Node[]) => [0, 1].filter((place) => missingIn(viewOf(graph(...node)))('x', place))

  it('may miss what the only reader fills', () => {
    expect(places(test, filled)).toEqual([0])
    expect(places(test, makeNode('Where', ['missing', 'one', 'x'], ['y']))).toEqual([0, 1])
    const turned = [makeNode('IsNaN', ['t'], ['missing']), makeNode('Where', ['missing', 'fill', 't'], ['y'])]
    expect(places(makeNode('Gather', ['x', 'both'], ['t'], { axis: 1n }), ...turned)).toEqual([1])
    const sum = makeNode('Add', ['fill', 'fill'], ['by'])
    expect(places(sum, test, makeNode('Where', ['missing', 'by', 'x'], ['y']))).toEqual([0])
  })

  it.each<[string, Node[]]>([
    ['computes with it', [test, filled, makeNode('Mul', ['x', 'one'], ['z'])]],
    ['swallows it', [makeNode('Equal', ['x', 'one'], ['y'])]],
    ['gives it out', [test, makeNode('Where', ['missing', 'fill', 'x'], ['f']), makeNode('Identity', ['x'], ['y'])]],
    ['takes it where it is missing', [test, makeNode('Where', ['missing', 'x', 'x'], ['y'])]],
    ['has the branches the other way round', [test, makeNode('Where', ['missing', 'x', 'fill'], ['y'])]],
    ['asks for something else', [makeNode('IsNaN', ['fill'], ['m']), makeNode('Where', ['m', 'one', 'x'], ['y'])]],
    [
      'fills with what is computed',
      [test, makeNode('Neg', ['one'], ['n']), makeNode('Where', ['missing', 'n', 'x'], ['y'])],
    ],
    ['picks rows', [makeNode('Gather', ['x', 'first'], ['t'], { axis: 0n }), makeNode('Identity', ['t'], ['y'])]],
    ['picks from the end', [makeNode('Gather', ['x', 'last'], ['t'], { axis: 1n })]],
    ['goes round in circles', [makeNode('Gather', ['x', 'both'], ['x'], { axis: 1n })]],
  ])('may not miss a number when it %s', (_, nodes) => {
    expect(places(...nodes)).toEqual([])
  })
})
