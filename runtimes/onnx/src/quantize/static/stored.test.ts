import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { describe, expect, it } from 'vitest'
import { attributesOf } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { floats, normal, runOnce, uniform } from '../models.fixture.js'
import { createInt8Quantizer } from '../quantizer.js'
import { Network } from './networks.fixture.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const stored = (bytes: Uint8Array) =>
  createInt8Quantizer({ form: 'stored' }).quantize(bytes, {}, runtime, { precision: 'int8' })

/** Half a step of each weight is a 254th of the largest one of its channel; errors of many average out. */
function expectNear(actual: Float32Array, wanted: Float32Array): void {
  let [signal, noise] = [0, 0]
  for (const [i, value] of wanted.entries())
    [signal, noise] = [signal + value ** 2, noise + (value - (actual[i] ?? NaN)) ** 2]
  expect(10 * Math.log10(signal / noise)).toBeGreaterThan(35)
}

function convolutions(transposed: Parameters<Network['op']>[2], shape: number[]): Network {
  const g = new Network([1, 6, 5, 5], 12)
  const a = g.op('Relu', [g.conv('x', [8, 6, 3, 3])])
  const b = g.op('ConvTranspose', [a, g.weights(shape), g.weights([8])], transposed)
  g.dense(g.op('Flatten', [b]), 8 * 49, 4, 'y')
  return g
}

describe('weights that are integers in the file alone', () => {
  it.each([
    ['one group', { strides: [2n, 2n], pads: [0n, 0n, 0n, 0n] }, [8, 8, 3, 3]],
    ['two groups', { strides: [2n, 2n], group: 2n }, [8, 4, 3, 3]],
  ] as const)(
    'need no data, give a file of a quarter, and answer nearly as before: %s',
    async (_, attributes, shape) => {
      const g = convolutions(attributes, [...shape])
      const bytes = g.bytes()
      const { onnx, quantized, layers } = await stored(bytes)
      expect(quantized.map((name) => name.split(':')[0])).toEqual(['Conv', 'ConvTranspose', 'Gemm'])
      expect(layers.every(({ weightSnrDb, input }) => (weightSnrDb ?? 0) > 35 && input === null)).toBe(true)
      expect(bytes.length / onnx.length).toBeGreaterThan(2.5)
      const x = g.rows(8)
      expectNear(await runOnce(runtime, onnx, { x }), await runOnce(runtime, bytes, { x }))
    },
  )

  it('of a transposed convolution stand beside integer layers', async () => {
    const g = convolutions({ strides: [2n, 2n] }, [8, 8, 3, 3])
    const bytes = g.bytes()
    const x = g.rows(40)
    const { onnx, quantized } = await createInt8Quantizer().quantize(bytes, { x }, runtime, { precision: 'int8' })
    expect(quantized.map((name) => name.split(':')[0])).toEqual(['Conv', 'Gemm', 'ConvTranspose'])
    const sizes = readModel(onnx).graph?.initializer.filter(({ dataType, dims }) => dataType === 1 && dims.length > 1)
    expect(sizes?.map(({ dims }) => dims.map(Number))).toEqual([[1, 8, 1, 1]])
    const [actual, wanted] = [await runOnce(runtime, onnx, { x }), await runOnce(runtime, bytes, { x })]
    const worst = wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - (actual[i] ?? NaN))), 0)
    expect(worst).toBeLessThan(0.06 * wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0))
  })

  it('of a table have a scale for each of its rows', async () => {
    const g = new Network([1, 4], 13)
    const table = g.weights([50, 16])
    const rows = g.op('Gather', [table, g.sizes(3, 7, 49, 0)])
    const y = g.op('MatMul', ['x', rows], {}, 'y')
    expect(y).toBe('y')
    // An index that is computed: a constant one would be looked up before.
    const computed = new Network([1, 16], 13)
    const own = computed.weights([50, 16])
    const index = computed.op(
      'Cast',
      [computed.op('Clip', ['x', computed.op('Constant', [], { value: floats([], [0]) })])],
      { to: 7n },
    )
    computed.op('ReduceMean', [computed.op('Gather', [own, index])], { axes: [1n], keepdims: 0n }, 'y')
    const bytes = computed.bytes()
    const { onnx, quantized } = await stored(bytes)
    expect(quantized.map((name) => name.split(':')[0])).toEqual(['Gather'])
    const x = floats([5, 16], normal(80, 8, uniform(3)))
    expectNear(await runOnce(runtime, onnx, { x }), await runOnce(runtime, bytes, { x }))
    const cast = readModel(onnx).graph?.node.find((node) => node.opType === 'Cast' && attributesOf(node)['to'] === 1n)
    expect(cast).toBeDefined()
  })

  it('are refused where there are none', async () => {
    const g = new Network([1, 4])
    g.op('Tanh', ['x'], {}, 'y')
    await expect(stored(g.bytes())).rejects.toMatchObject({ code: 'QUANTIZE_NOTHING' })
  })

  it('are taken or left by what a run takes: the faster of both files is given', async () => {
    const g = convolutions({ strides: [2n, 2n] }, [8, 8, 3, 3])
    const bytes = g.bytes()
    const x = g.rows(20)
    const quantize = (form: 'qdq' | 'stored' | 'fastest') =>
      createInt8Quantizer({ form }).quantize(bytes, { x }, runtime, { precision: 'int8' })
    const [qdq, alone, fastest] = [await quantize('qdq'), await quantize('stored'), await quantize('fastest')]
    expect([qdq.onnx, alone.onnx]).toContainEqual(fastest.onnx)
  })
})
