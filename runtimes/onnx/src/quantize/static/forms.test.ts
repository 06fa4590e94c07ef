import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import fc from 'fast-check'
import { InferenceSession } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { graphOf, makeNode } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { ELEMENT_TYPE } from '../../format/types.js'
import { writeModel } from '../../format/write.js'
import { floats, modelOf, runOnce } from '../models.fixture.js'
import { createInt8Quantizer } from '../quantizer.js'
import { interpret } from './interpreter.fixture.js'
import { NETWORKS, Network } from './networks.fixture.js'
import type { Form } from './write.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const quantize = (bytes: Uint8Array, g: Network, form: Form) =>
  createInt8Quantizer({ form }).quantize(bytes, { x: g.rows(64) }, runtime, { precision: 'int8' })

function decibels(actual: ArrayLike<number>, wanted: ArrayLike<number>): number {
  let [signal, noise] = [0, 0]
  for (let i = 0; i < wanted.length; i++) {
    signal += (wanted[i] ?? 0) ** 2
    noise += ((wanted[i] ?? 0) - (actual[i] ?? NaN)) ** 2
  }
  return 10 * Math.log10(signal / Math.max(noise, 1e-30))
}

/**
 * Engines scale sums in float32 where the interpreter does in doubles, so that now and then a value that lies between two
 * integers goes to the other one. Such a step is 1/255 of a range once; errors of arithmetic would be everywhere.
 */
const ALMOST = 45

describe.each(Object.entries(NETWORKS))('%s, as integers', (_, network) => {
  const g = network()
  const bytes = g.bytes(g.shape.length === 3 && g.shape[1] === 6 ? [null, null, null] : [null, null])
  const x = g.rows(16, 99)

  it('computes what the interpreter computes, in both forms, and stays near the float model', async () => {
    const [operators, qdq] = [await quantize(bytes, g, 'operators'), await quantize(bytes, g, 'qdq')]
    const wanted = interpret(operators.onnx, { x }).get('y')?.data ?? []
    expect(decibels(await runOnce(runtime, operators.onnx, { x }), wanted)).toBeGreaterThan(ALMOST)
    expect(decibels(await runOnce(runtime, qdq.onnx, { x }), wanted)).toBeGreaterThan(ALMOST)
    expect(decibels(wanted, await runOnce(runtime, bytes, { x }))).toBeGreaterThan(22)
    expect(qdq.quantized).toEqual(operators.quantized)
    expect(operators.onnx.length).toBeLessThan(qdq.onnx.length)
  })

  it('has no float operator between its layers', async () => {
    const { onnx } = await quantize(bytes, g, 'operators')
    const left = readModel(onnx).graph?.node.map(({ opType }) => opType ?? '') ?? []
    const isAttention = left.includes('Softmax')
    const conversions = left.filter((name) => name === 'QuantizeLinear' || name === 'DequantizeLinear')
    if (!isAttention) expect(conversions).toEqual(['QuantizeLinear'])
    expect(left.filter((name) => ['Conv', 'Gemm', 'MatMul', 'Add', 'Relu', 'Clip', 'Mul'].includes(name))).toEqual([])
  })
})

describe('models of other shapes', () => {
  it('that answer classes are measured at their last layer', async () => {
    const g = new Network([1, 6], 3)
    const a = g.op('Relu', [g.dense('x', 6, 8)])
    g.op('ArgMax', [g.dense(a, 8, 4)], { axis: 1n, keepdims: 0n }, 'y')
    const read = readModel(g.bytes([null]))
    const tensor = read.graph?.output[0]?.type?.value
    if (tensor?.case === 'tensorType') tensor.value.elemType = ELEMENT_TYPE.int64
    const { onnx, layers } = await quantize(writeModel(read), g, 'qdq')
    expect(layers.map(({ outputSnrDb }) => (outputSnrDb ?? 0) > 25)).toEqual([true, true])
    const session = await runtime.load(onnx)
    const { y } = await session.run({ x: g.rows(8) })
    await session.dispose()
    expect(y?.dtype).toBe('int64')
  })

  it('keep names that a branch reads from outside, also of what is carried as integers', async () => {
    const g = new Network([1, 6], 4)
    const a = g.op('Relu', [g.dense('x', 6, 6)])
    const b = g.op('Relu', [g.dense(a, 6, 6)])
    const branch = (factor: number) =>
      graphOf(
        readModel(
          modelOf({
            output: { name: `b${factor}`, dtype: 'float32', shape: [null, 6] },
            node: [makeNode('Mul', [a, `f${factor}`], [`b${factor}`])],
            constants: { [`f${factor}`]: floats([], [factor]) },
          }),
        ),
      )
    const condition = g.op('Greater', [
      g.op('ReduceMax', [b], { keepdims: 0n }),
      g.op('Constant', [], { value: floats([], [0.5]) }),
    ])
    for (let i = 0; i < 2; i++)
      g.op('If', [condition], { then_branch: branch(2 + 2 * i), else_branch: branch(3 + 2 * i) }, `if${i}`)
    g.op('Add', [g.op('Add', ['if0', 'if1']), b], {}, 'y')
    const bytes = g.bytes()
    for (const form of ['qdq', 'operators'] as const) {
      const { onnx, quantized } = await quantize(bytes, g, form)
      expect(quantized).toHaveLength(2)
      const x = g.rows(32, 5)
      expect(decibels(await runOnce(runtime, onnx, { x }), await runOnce(runtime, bytes, { x }))).toBeGreaterThan(25)
    }
  })

  it('move integers by every operator that only moves', async () => {
    const moves: [string, (g: Network, x: string) => string][] = [
      ['DepthToSpace', (g, x) => g.op('DepthToSpace', [x], { blocksize: 2n })],
      ['SpaceToDepth', (g, x) => g.op('SpaceToDepth', [x], { blocksize: 2n })],
      ['Slice', (g, x) => g.op('Slice', [x, g.sizes(1), g.sizes(4), g.sizes(2)])],
      ['Resize', (g, x) => g.op('Resize', [x, '', g.scales(1, 1, 2, 2)], { mode: 'nearest' })],
      ['Unsqueeze', (g, x) => g.op('Squeeze', [g.op('Unsqueeze', [x, g.sizes(1)]), g.sizes(1)])],
    ]
    for (const [name, move] of moves) {
      const g = new Network([1, 4, 6, 6], 6)
      const a = move(g, g.op('Relu', [g.conv('x', [4, 4, 1, 1])]))
      const channels = { DepthToSpace: 1, SpaceToDepth: 16 }[name] ?? 4
      const c = g.conv(a, [4, channels, 1, 1])
      g.dense(g.op('Flatten', [g.op('GlobalAveragePool', [c])]), 4, 3, 'y')
      const bytes = g.bytes()
      const { onnx, kept } = await quantize(bytes, g, 'operators')
      expect(kept, name).toEqual([])
      const x = g.rows(8, 9)
      expect(decibels(await runOnce(runtime, onnx, { x }), await runOnce(runtime, bytes, { x })), name).toBeGreaterThan(
        22,
      )
    }
  })
})

describe('a file in standard operators', () => {
  it.each([
    'two convolutions with pooling, and a dense layer',
    'depthwise and pointwise convolutions',
    'a residual block',
    'joined branches with one range',
    'a 1-D convolution',
    'channels last outside, transposed inside',
  ])('runs on integer kernels from the first layer to the last in ONNX Runtime: %s', async (name) => {
    const g = (NETWORKS[name] as () => Network)()
    const { onnx } = await quantize(g.bytes(), g, 'qdq')
    const folder = await mkdtemp(join(tmpdir(), 'tideway-forms-'))
    try {
      const path = join(folder, 'optimized.onnx')
      const session = await InferenceSession.create(onnx, { optimizedModelFilePath: path, logSeverityLevel: 3 })
      await session.release()
      const left = readModel(await readFile(path)).graph?.node.map(({ opType }) => opType ?? '') ?? []
      const moves = ['Transpose', 'Reshape', 'Flatten', 'Squeeze', 'Concat', 'MaxPool', 'NhwcMaxPool']
      const others = left.filter((operator) => !moves.includes(operator))
      expect(others[0]).toBe('QuantizeLinear')
      expect(others.slice(1).every((operator) => /^Q(Linear|Gemm)/.test(operator))).toBe(true)
      expect(others.at(-1)).toBe('QGemm')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('random networks as integers', () => {
  it('compute what the interpreter computes, in both forms', async () => {
    const kinds = fc.array(fc.constantFrom('conv', 'depthwise', 'relu', 'pool', 'mean', 'skip', 'join'), {
      minLength: 1,
      maxLength: 6,
    })
    await fc.assert(
      fc.asyncProperty(kinds, fc.integer({ min: 1, max: 1e6 }), async (list, seed) => {
        const g = new Network([1, 4, 8, 8], seed)
        let value = g.conv('x', [4, 4, 1, 1])
        let earlier = value
        for (const kind of list) {
          const before = value
          if (kind === 'conv') value = g.conv(value, [4, 4, 3, 3], { pads: [1n, 1n, 1n, 1n] })
          else if (kind === 'depthwise') value = g.conv(value, [4, 1, 3, 3], { pads: [1n, 1n, 1n, 1n], group: 4n })
          else if (kind === 'relu') value = g.op('Relu', [g.conv(value, [4, 4, 1, 1])])
          else if (kind === 'pool') value = g.op('MaxPool', [value], { kernel_shape: [3n, 3n], pads: [1n, 1n, 1n, 1n] })
          else if (kind === 'mean')
            value = g.op('AveragePool', [value], { kernel_shape: [3n, 3n], pads: [1n, 1n, 1n, 1n] })
          else if (kind === 'skip') value = g.op('Add', [value, earlier])
          else value = g.conv(g.op('Concat', [value, earlier], { axis: 1n }), [4, 8, 1, 1])
          earlier = before
        }
        g.dense(g.op('Flatten', [g.op('GlobalAveragePool', [value])]), 4, 3, 'y')
        const bytes = g.bytes()
        const x = g.rows(8, seed + 1)
        const [operators, qdq] = [await quantize(bytes, g, 'operators'), await quantize(bytes, g, 'qdq')]
        const wanted = interpret(operators.onnx, { x }).get('y')?.data ?? []
        expect(decibels(await runOnce(runtime, operators.onnx, { x }), wanted)).toBeGreaterThan(35)
        expect(decibels(await runOnce(runtime, qdq.onnx, { x }), wanted)).toBeGreaterThan(35)
      }),
      { numRuns: 12, seed: 8 },
    )
  })
})
