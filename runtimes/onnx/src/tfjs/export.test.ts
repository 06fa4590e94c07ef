import type { Tensor } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createTfjsRuntime } from '@tideway/runtime-tfjs'
import { describe, expect, it } from 'vitest'
import { CALLS } from '../build/calls/index.fixture.js'
import { GraphBuilder } from '../build/graph-builder.js'
import { floats, int64s, type Value } from '../build/value.js'
import { graphOf, makeNode } from '../format/node.js'
import { writeModel } from '../format/write.js'
import { tfjsGraphModel } from './export.js'

const onnx = createOnnxNodeRuntime()
/** The backend that has the fewest kernels. */
const tfjs = createTfjsRuntime({ providers: ['wasm'] })

/** An operator on x [batch, 3] and y [3]; what is not float32 is made so, as outputs are float32, int32 or bool. */
function fileOf(call: (typeof CALLS)[string]): Uint8Array {
  const g = new GraphBuilder('call')
  const [x, y] = [g.input('x', 'float32', [null, 3]), g.input('y', 'float32', [3])]
  for (const [at, value] of [call(g, x, y)].flat().entries())
    g.output(`out_${at}`, value.dtype === 'float32' ? value : g.op('Cast', [value], { to: 1n }))
  return writeModel(g.build())
}

/** Ways to call an operator that its call above does not take. */
const MORE: typeof CALLS = {
  'Gemm with weights to be turned and a bias': (g, x, y) => {
    const w = g.constant(floats('float32', [1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3]))
    return [
      g.op('Gemm', [x, w, g.constant(floats('float32', [1, -2, 3], [3]))], { transB: 1n }),
      g.op('Gemm', [g.op('Transpose', [x]), w, y], { transA: 1n, transB: 1n, alpha: 0.5, beta: 2 }),
    ]
  },
  'MatMul of matrices that broadcast along several axes': (g, x) => {
    const numbers = (shape: readonly number[]) =>
      g.constant(
        floats(
          'float32',
          Array.from({ length: 24 }, (_, at) => Math.cos(at)),
          shape,
        ),
      )
    const rows = g.op('Unsqueeze', [x, g.constant(int64s([1, 2, 3]))])
    return [
      g.op('MatMul', [numbers([2, 1, 4, 3]), numbers([2, 2, 3, 2])]),
      g.op('MatMul', [numbers([2, 4, 3]), numbers([4, 2, 3, 1])]),
      // The batch is not known: [batch, 1, 1, 1, 3] with [2, 4, 3, 1].
      g.op('MatMul', [rows, numbers([2, 4, 3, 1])]),
    ]
  },
  'Einsum of attention, of a dense layer with several axes, and of three operands': (g, x, y) => {
    const wave = (...shape: number[]) => {
      const count = shape.reduce((a, b) => a * b)
      return g.constant(
        floats(
          'float32',
          Array.from({ length: count }, (_, at) => Math.sin(at * 5)),
          shape,
        ),
      )
    }
    const rows = g.op('Einsum', [x, wave(3, 2, 4)], { equation: 'bi,ihd->bhd' })
    const steps = g.op('Einsum', [rows, wave(5)], { equation: 'bhd,t->bthd' })
    const scores = g.op('Einsum', [steps, steps], { equation: 'bqhd,bkhd->bhqk' })
    return [
      scores,
      g.op('Einsum', [scores, steps], { equation: 'bhqk,bkhd->bqhd' }),
      g.op('Einsum', [steps, wave(2, 4, 6), wave(6)], { equation: '...hd,hde,e->...e' }),
      g.op('Einsum', [x, y, wave(3)], { equation: 'bi,i,j->jb' }),
      g.op('Einsum', [steps], { equation: 'abcd->dba' }),
    ]
  },
  'Relu of what others take too': (g, x) => {
    const weights = g.constant(floats('float32', [1, -2, 0.5, 3, 1, -1, 2, 1, 0], [3, 3, 1, 1]))
    const image = g.op('Unsqueeze', [x, g.constant(int64s([2, 3]))])
    const conv = () =>
      g.op('Conv', [image, weights, g.constant(floats('float32', [0.5, -1, 0.25], [3]))], {}, { name: g.fresh('conv') })
    const turned = (value: Value) => g.op('Transpose', [value], { perm: [0n, 2n, 3n, 1n] }, { name: g.fresh('turned') })
    const [alone, both, aside] = [conv(), conv(), conv()]
    return [
      g.op('Relu', [turned(alone)]),
      g.op('Add', [g.op('Relu', [both]), both]),
      g.op('Add', [g.op('Relu', [turned(aside)]), g.op('Exp', [turned(aside)])]),
    ]
  },
  'Conv over an image whose padding and strides differ by axis': (g, x) => {
    const image = g.op('Expand', [
      g.op('Unsqueeze', [g.op('Unsqueeze', [x, g.constant(int64s([1]))]), g.constant(int64s([3]))]),
      g.constant(int64s([1, 2, 3, 5])),
    ])
    const weights = (...shape: number[]) =>
      g.constant(
        floats(
          'float32',
          Array.from({ length: shape.reduce((a, b) => a * b) }, (_, at) => Math.cos(at * 3)),
          shape,
        ),
      )
    return [
      g.op('Conv', [image, weights(3, 2, 2, 3)], { pads: [1n, 0n, 0n, 2n], strides: [1n, 2n] }),
      g.op('Conv', [image, weights(4, 1, 2, 2)], { group: 2n, pads: [1n, 1n, 0n, 0n], dilations: [1n, 2n] }),
      g.op('Conv', [image, weights(2, 1, 2, 2)], { group: 2n, strides: [2n, 1n] }),
      g.op('Conv', [image, weights(2, 2, 2, 2)], { strides: [1n, 2n], dilations: [2n, 3n] }),
      g.op('ConvTranspose', [image, weights(2, 2, 3, 2)], { group: 2n, strides: [2n, 3n], pads: [1n, 0n, 0n, 1n] }),
      g.op('AveragePool', [image], {
        kernel_shape: [2n, 3n],
        strides: [2n, 2n],
        pads: [1n, 1n, 0n, 1n],
        ceil_mode: 1n,
      }),
      g.op('AveragePool', [image], { kernel_shape: [3n, 2n], auto_pad: 'SAME_LOWER', count_include_pad: 1n }),
      g.op('MaxPool', [image], { kernel_shape: [2n, 2n], pads: [0n, 1n, 1n, 0n], strides: [1n, 2n] }),
    ]
  },
}

/** Operators that cannot be written, and why. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  Cast: /it gives float64/,
  MaxPool: /its second output, indices/,
  Scan: /control flow/,
  // Of a batch that is not known.
  Trilu: /its shape \[batch, 3\] is known only when the model runs/,
  ...Object.fromEntries(
    'GatherElements GatherND MaxUnpool NonZero ScatterElements ScatterND SoftmaxCrossEntropyLoss'
      .split(' ')
      .map((name) => [name, /TensorFlow.js has no form of it here/]),
  ),
}

const feeds = (rows: number): Record<string, Tensor> => ({
  x: {
    dtype: 'float32',
    shape: [rows, 3],
    data: Float32Array.from({ length: rows * 3 }, (_, at) => Math.sin(at * 1.7 + 1) * 2),
  },
  y: { dtype: 'float32', shape: [3], data: Float32Array.of(0.5, -1.25, 2) },
})

describe('an operator in a Graph model', () => {
  // A mask of dropout is of training.
  it.each(Object.keys({ ...CALLS, ...MORE }).filter((name) => name !== 'Dropout'))(
    '%s computes what ONNX Runtime does, or is refused',
    async (name) => {
      const file = fileOf({ ...CALLS, ...MORE }[name] as (typeof CALLS)[string])
      const reason = REFUSED[name]
      if (reason !== undefined) {
        expect(() => tfjsGraphModel(file)).toThrow(expect.objectContaining({ code: 'TFJS_EXPORT_UNSUPPORTED' }))
        expect(() => tfjsGraphModel(file)).toThrow(reason)
        return
      }
      const [theirs, ours] = [await onnx.load(file), await tfjs.load(tfjsGraphModel(file))]
      const taken = theirs.signature.inputs.map((input) => input.name)
      for (const rows of [2, 3]) {
        const given = Object.fromEntries(Object.entries(feeds(rows)).filter(([input]) => taken.includes(input)))
        const [expected, answer] = [await theirs.run(given), await ours.run(given)]
        for (const [output, { shape, data }] of Object.entries(expected)) {
          expect(answer[output]?.shape, output).toEqual(shape)
          const got = answer[output]?.data as Float32Array
          // Single precision, and an error function by approximation (1.5e-7).
          for (const [at, value] of (data as Float32Array).entries())
            if (Number.isFinite(value))
              expect(Math.abs((got[at] as number) - value), `${output}[${at}]`).toBeLessThan(
                1e-4 * Math.max(1, Math.abs(value)),
              )
            else expect(got[at], `${output}[${at}]`).toBe(value)
        }
      }
      await Promise.all([theirs.dispose(), ours.dispose()])
    },
  )
})

describe('a model that cannot be a Graph model', () => {
  const codes = { code: 'TFJS_EXPORT_UNSUPPORTED' }

  it('is refused with every node that has no form, and with inputs and outputs of types that are not there', () => {
    const g = new GraphBuilder('refused')
    const x = g.input('x', 'float32', [null, 3])
    const ids = g.input('ids', 'int64', [null])
    const wide = g.op('Cast', [x], { to: 11n }, { name: 'wide' })
    const narrow = g.op('Cast', [g.op('Add', [wide, wide])], { to: 1n })
    const places = g.op('NonZero', [x], {}, { name: 'places' })
    g.output('y', narrow)
    g.output('where', places)
    g.output('same', g.op('Identity', [ids]))
    expect(() => tfjsGraphModel(writeModel(g.build()))).toThrow(
      expect.objectContaining({
        ...codes,
        data: {
          nodes: [
            'input "ids" (int64: TensorFlow.js has float32, int32 and bool)',
            '"wide" (Cast: it gives float64, which TensorFlow.js does not have)',
            '"Add_1" (Add: it gives float64, which TensorFlow.js does not have)',
            '"places" (NonZero: TensorFlow.js has no form of it here)',
            'output "where" (int64: TensorFlow.js has float32, int32 and bool)',
            'output "same" (int64: TensorFlow.js has float32, int32 and bool)',
          ],
        },
      }),
    )
  })

  it('is refused with the reason that a node gives', () => {
    const g = new GraphBuilder('diagonal')
    const x = g.input('x', 'float32', [3, 3])
    g.output('y', g.op('Einsum', [x], { equation: 'ii->i' }, { name: 'trace' }))
    expect(() => tfjsGraphModel(writeModel(g.build()))).toThrow(
      expect.objectContaining({ ...codes, data: { nodes: ['"trace" (Einsum: the diagonal of ii)'] } }),
    )
  })

  it('is refused when it is quantized, with the nodes that say so', () => {
    const g = new GraphBuilder('quantized')
    g.output('y', g.op('Relu', [g.input('x', 'float32', [null, 3])]))
    const model = g.build()
    const scale = g.constant(floats('float32', [0.5]))
    graphOf(model).node.unshift(makeNode('QuantizeLinear', ['x', scale.name], ['q'], {}, 'round'))
    expect(() => tfjsGraphModel(writeModel(model))).toThrow(
      expect.objectContaining({ ...codes, message: expect.stringMatching(/"round" .*the model is quantized/) }),
    )
  })

  it('throws what reading it throws where it is none', () => {
    expect(() => tfjsGraphModel(Uint8Array.of(1, 2, 3))).toThrow(expect.objectContaining({ code: 'MODEL_INVALID' }))
  })
})

describe('a Graph model', () => {
  it('has the names of the ONNX model, whatever characters they have, and a constant for an output', async () => {
    const g = new GraphBuilder('names')
    const x = g.input('^ pixels:0', 'float32', [null, 2])
    g.output('sum/β:0', g.op('ReduceSum', [x, g.constant(int64s([1]))], { keepdims: 0n }, { name: 'a:b' }))
    g.output('x', g.op('Identity', [x]))
    g.output('two', g.initializer('2', floats('float32', [2], [1])))
    const session = await tfjs.load(tfjsGraphModel(writeModel(g.build())))
    expect(session.signature).toEqual({
      inputs: [{ name: '^ pixels:0', dtype: 'float32', shape: [null, 2] }],
      outputs: [
        { name: 'sum/β:0', dtype: 'float32', shape: [null] },
        { name: 'x', dtype: 'float32', shape: [null, 2] },
        { name: 'two', dtype: 'float32', shape: [1] },
      ],
    })
    const pixels: Tensor = { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }
    expect(await session.run({ '^ pixels:0': pixels })).toEqual({
      'sum/β:0': { dtype: 'float32', shape: [2], data: Float32Array.of(3, 7) },
      x: pixels,
      two: { dtype: 'float32', shape: [1], data: Float32Array.of(2) },
    })
    await session.dispose()
  })
})
