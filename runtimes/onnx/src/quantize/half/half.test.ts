import { describe, expect, it } from 'vitest'
import { graphOf, makeNode } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { valueInfo } from '../../format/signature.js'
import { writeModel } from '../../format/write.js'
import type { Graph, Node } from '../../generated/onnx_pb.js'
import { fromHalf, toHalf } from '../formats/half.js'
import { floats, modelOf, normal, runOnce, uniform } from '../models.fixture.js'
import { expectClose, model, peak, quantizeWith, run, runtime } from '../schemes.fixture.js'

const random = uniform(61)
const values = (shape: number[], deviation = 0.3) =>
  floats(
    shape,
    normal(
      shape.reduce((a, b) => a * b, 1),
      deviation,
      random,
    ),
  )
const square = [
  [null, 8],
  [null, 8],
] as const
const small = (node: Node[], constants = {}) => model([[...square[0]], [...square[1]]], node, constants)
const w = values([8, 8])

describe('weights and activations as float16', () => {
  it('are a MatMul that rounds its input and result to float16, with float32 outside', async () => {
    const bytes = small([makeNode('MatMul', ['x', 'w'], ['y'])], { w })
    const { onnx, operators, graph, precision, requires } = await quantizeWith({ scheme: 'fp16' }, bytes)
    expect([operators, precision, requires]).toEqual([['Cast', 'MatMul', 'Cast'], 'fp16', []])
    expect([graph.input, graph.output].map(([info]) => info?.type?.value.value?.['elemType' as never])).toEqual([1, 1])
    const x = values([3, 8], 1)
    const half = (tensor: { data: unknown }) => fromHalf(toHalf(tensor.data as Float32Array))
    const [a, b] = [half(x), half(w)]
    const expected = Float32Array.from({ length: 24 }, (_, i) => {
      let sum = 0
      for (let k = 0; k < 8; k++) sum += (a[Math.floor(i / 8) * 8 + k] ?? 0) * (b[k * 8 + (i % 8)] ?? 0)
      return sum
    })
    // An engine may round inputs, sums and results to float16, or leave out roundings that cancel: 2^-11 each.
    expectClose(await run(onnx, x), expected, 3 * 2 ** -11 * Math.max(1, peak(expected)))
  })

  it('reach from one layer to the next without a cast in between, and leave the model where it was', async () => {
    const node = [
      makeNode('Conv', ['x', 'k', 'b'], ['c'], { pads: [1n, 1n, 1n, 1n] }),
      makeNode('Relu', ['c'], ['r']),
      makeNode('MaxPool', ['r'], ['p'], { kernel_shape: [2n, 2n], strides: [2n, 2n] }),
      makeNode('Add', ['p', 'shift'], ['a']),
      makeNode('Flatten', ['a'], ['f']),
      makeNode('Gemm', ['f', 'd', 'e'], ['g'], { transB: 1n }),
      makeNode('Softmax', ['g'], ['y']),
    ]
    const constants = {
      k: values([8, 2, 3, 3]),
      b: values([8]),
      shift: floats([], [0.5]),
      d: values([5, 72], 0.1),
      e: values([5]),
    }
    const bytes = model(
      [
        [null, 2, 6, 6],
        [null, 5],
      ],
      node,
      constants,
    )
    const { onnx, operators, kept } = await quantizeWith({ scheme: 'fp16' }, bytes)
    expect(operators).toEqual(['Cast', 'Conv', 'Relu', 'MaxPool', 'Add', 'Flatten', 'Gemm', 'Cast', 'Softmax'])
    expect(kept).toEqual([{ node: 'Softmax:y', reason: expect.stringContaining('sum of many') }])
    const x = values([4, 2, 6, 6], 1)
    // Six roundings of 2^-11 on logits of order one, which softmax does not make larger.
    expectClose(await run(onnx, x), await run(bytes, x), 4e-3)
  })

  it('stop before what needs float32, each named with its reason, and begin again behind it', async () => {
    const node = [
      makeNode('MatMul', ['x', 'w'], ['a']),
      makeNode('LayerNormalization', ['a', 'g', 'h'], ['n']),
      makeNode('MatMul', ['n', 'w'], ['b']),
      makeNode('Exp', ['b'], ['e']),
      makeNode('ReduceSum', ['e', 'axis'], ['s'], { keepdims: 1n }),
      makeNode('Div', ['b', 's'], ['d']),
      makeNode('Mul', ['d', 'g'], ['y']),
    ]
    const axis = { dtype: 'int64', shape: [1], data: BigInt64Array.of(1n) } as const
    const bytes = small(node, { w, g: values([8]), h: values([8]), axis })
    const { onnx, operators, kept } = await quantizeWith({ scheme: 'fp16' }, bytes)
    expect(operators.filter((name) => name === 'Cast')).toHaveLength(4)
    expect(kept.map((item) => item.node)).toEqual(['LayerNormalization:n', 'Exp:e', 'ReduceSum:s', 'Div:d', 'Mul:y'])
    expect(kept.every(({ reason }) => reason.length > 20)).toBe(true)
    const x = values([5, 8], 1)
    const wanted = await run(bytes, x)
    expectClose(await run(onnx, x), wanted, 0.01 * peak(wanted))
  })

  it('do not touch whole numbers, shapes and what moves them', async () => {
    const node = [
      makeNode('MatMul', ['x', 'w'], ['a']),
      makeNode('Shape', ['a'], ['s']),
      makeNode('Gather', ['s', 'zero'], ['n']),
      makeNode('Concat', ['n', 'rest'], ['t'], { axis: 0n }),
      makeNode('Reshape', ['a', 't'], ['b']),
      makeNode('Transpose', ['b'], ['c'], { perm: [0n, 2n, 1n] }),
      makeNode('Flatten', ['c'], ['y']),
    ]
    const int64 = (...list: bigint[]) =>
      ({ dtype: 'int64', shape: [list.length], data: BigInt64Array.from(list) }) as const
    const bytes = small(node, { w, zero: int64(0n), rest: int64(2n, 4n) })
    const { onnx, operators, kept } = await quantizeWith({ scheme: 'fp16' }, bytes)
    expect(operators.filter((name) => name === 'Cast')).toHaveLength(2)
    expect(kept).toEqual([])
    const x = values([3, 8], 1)
    const wanted = await run(bytes, x)
    expectClose(await run(onnx, x), wanted, 2 ** -9 * peak(wanted))
  })

  it('come back as float32 for every output, also in the middle, and for what a branch reads', async () => {
    const branch = (name: string): Graph =>
      graphOf(
        readModel(
          modelOf({
            output: { name, dtype: 'float32', shape: [null, 8] },
            node: [makeNode('Neg', ['r'], [name])],
            constants: {},
          }),
        ),
      )
    const node = [
      makeNode('MatMul', ['x', 'w'], ['m']),
      makeNode('Relu', ['m'], ['r']),
      makeNode('If', ['yes'], ['i'], { then_branch: branch('t'), else_branch: branch('f') }),
      makeNode('Add', ['r', 'i'], ['y']),
    ]
    const yes = { dtype: 'bool', shape: [1], data: Uint8Array.of(1) } as const
    const float = readModel(small(node, { w, yes }))
    graphOf(float).output.push(valueInfo({ name: 'm', dtype: 'float32', shape: [null, 8] }))
    const { onnx, kept } = await quantizeWith({ scheme: 'fp16' }, writeModel(float))
    expect(kept.map((item) => item.node)).toContain('If:i')
    const session = await runtime.load(onnx)
    const x = values([2, 8], 1)
    const { y, m } = await session.run({ x })
    await session.dispose()
    expect([y?.dtype, m?.dtype]).toEqual(['float32', 'float32'])
    expectClose(y?.data as Float32Array, new Float32Array(16), 2 ** -9)
    expectClose(
      m?.data as Float32Array,
      await runOnce(runtime, small([makeNode('MatMul', ['x', 'w'], ['y'])], { w }), { x }),
      2 ** -8,
    )
  })

  it('leave layers beyond 65,504 in float32 and name them: by a weight, a limit, or calibration rows', async () => {
    const large = floats(
      [8, 8],
      (w.data as Float32Array).map((value) => value * 1e6),
    )
    const node = [
      makeNode('MatMul', ['x', 'w'], ['a']),
      makeNode('Relu', ['a'], ['b']),
      makeNode('MatMul', ['b', 'large'], ['c']),
      makeNode('MatMul', ['c', 'w'], ['d'], {}, 'hot'),
      makeNode('Softmax', ['d'], ['e']),
      makeNode('MatMul', ['e', 'w'], ['f']),
      makeNode('Min', ['f', 'limit'], ['y']),
    ]
    const bytes = small(node, { w, large, limit: floats([], [1e9]) })
    const blind = await quantizeWith({ scheme: 'fp16' }, bytes)
    expect(blind.quantized).toEqual(['MatMul:a', 'Relu:b', 'hot', 'MatMul:f'])
    const x = values([40, 8], 1)
    const seen = await quantizeWith({ scheme: 'fp16' }, bytes, { x })
    expect(seen.quantized).toEqual(['MatMul:a', 'Relu:b', 'MatMul:f'])
    expect(seen.kept).toEqual([
      { node: 'MatMul:c', reason: expect.stringContaining('beyond 65504') },
      { node: 'hot', reason: expect.stringContaining('calibration rows bring "c" near 65504') },
      { node: 'Softmax:e', reason: expect.stringContaining('sum of many') },
      { node: 'Min:y', reason: expect.stringContaining('beyond 65504') },
    ])
    const answer = await run(seen.onnx, x)
    // Softmax of values this large is one 1 and zeros, which a rounding before it can hardly move.
    expectClose(answer, await run(bytes, x), 2 ** -8)
    // Cast to float16 somewhere on its way, what is beyond it would be infinite and softmax of it NaN.
    expect(answer.every(Number.isFinite)).toBe(true)
  })

  it('take a bias that is next to nothing, but not a small number that keeps a divisor from zero', async () => {
    const tiny = floats([8], new Float32Array(8).fill(1e-9))
    const node = [
      makeNode('Gemm', ['x', 'w', 'tiny'], ['a']),
      makeNode('Tanh', ['a'], ['t']),
      makeNode('Add', ['t', 'tiny'], ['b']),
      makeNode('Abs', ['b'], ['c']),
      makeNode('Add', ['c', 'epsilon'], ['d']),
      makeNode('Reciprocal', ['d'], ['y']),
    ]
    const bytes = small(node, { w, tiny, epsilon: floats([], [1e-9]) })
    const { onnx, quantized, kept } = await quantizeWith({ scheme: 'fp16' }, bytes)
    expect(quantized).toEqual(['Gemm:a', 'Tanh:t', 'Add:b', 'Abs:c'])
    expect(kept[0]).toEqual({ node: 'Add:d', reason: expect.stringContaining('too small') })
    const answer = await run(onnx, floats([1, 8], new Float32Array(8)))
    expect(answer.every(Number.isFinite)).toBe(true)
  })

  it('are stored in recurrent layers, whose kernels are float32', async () => {
    const node = [
      makeNode('GRU', ['x', 'w', 'r'], ['g'], { hidden_size: 8n }),
      makeNode('Squeeze', ['g', 'one'], ['y']),
    ]
    const one = { dtype: 'int64', shape: [1], data: BigInt64Array.of(1n) } as const
    const constants = { w: values([1, 24, 6]), r: values([1, 24, 8]), one }
    const bytes = model(
      [
        [3, null, 6],
        [3, null, 8],
      ],
      node,
      constants,
    )
    const { onnx, quantized, kept, operators } = await quantizeWith({ scheme: 'fp16' }, bytes)
    expect(operators).toEqual(['Cast', 'Cast', 'GRU', 'Squeeze'])
    expect(quantized).toEqual(['GRU:g'])
    expect(kept[0]).toEqual({ node: 'GRU:g', reason: expect.stringContaining('no float16 kernel') })
    const x = values([3, 2, 6], 1)
    expectClose(await run(onnx, x), await run(bytes, x), 1e-3)
  })

  it('keep what the recipe names, and refuse a model without a layer for them', async () => {
    const node = [makeNode('MatMul', ['x', 'w'], ['h']), makeNode('MatMul', ['h', 'w'], ['y'], {}, 'head')]
    const { quantized, kept } = await quantizeWith({ scheme: 'fp16', keep: ['head'] }, small(node, { w }))
    expect([quantized, kept]).toEqual([['MatMul:h'], [{ node: 'head', reason: 'it was asked to stay' }]])
    const nothing = quantizeWith({ scheme: 'fp16' }, small([makeNode('Softmax', ['x'], ['y'])]))
    await expect(nothing).rejects.toMatchObject({ code: 'QUANTIZE_NOTHING' })
  })
})
