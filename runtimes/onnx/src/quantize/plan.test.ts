import type { Tensor, Tensors } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { describe, expect, it } from 'vitest'
import { makeNode } from '../format/node.js'
import { readModel } from '../format/read.js'
import { valueInfo } from '../format/signature.js'
import { writeModel } from '../format/write.js'
import type { Node } from '../generated/onnx_pb.js'
import { denseModel, floats, modelOf, normal, runOnce, uniform } from './models.fixture.js'
import { createInt8Quantizer } from './quantizer.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const run = (bytes: Uint8Array, calibration: Tensors) =>
  createInt8Quantizer().quantize(bytes, calibration, runtime, { precision: 'int8' })

const random = uniform(21)
const x = floats([50, 4], normal(200, 1, random))
const w = floats([4, 4], normal(16, 0.5, random))
const b = floats([4], [1, -1, 2, -2])

/** A model of these nodes; "k", where there is one, is a second output. */
function model(node: Node[], constants: Readonly<Record<string, Tensor>>, opset?: bigint): Uint8Array {
  const bytes = modelOf({
    input: [{ name: 'x', dtype: 'float32', shape: [null, 4] }],
    output: { name: 'y', dtype: 'float32', shape: [null, 4] },
    node,
    constants,
    opset,
  })
  if (!node.some(({ output }) => output[0] === 'k')) return bytes
  const read = readModel(bytes)
  read.graph?.output.push(valueInfo({ name: 'k', dtype: 'float32', shape: [null, 4] }))
  return writeModel(read)
}

/** Quantizes, and checks that the answers stay near the float model's. */
async function quantizeClosely(bytes: Uint8Array) {
  const result = await run(bytes, { x })
  const [actual, wanted] = [await runOnce(runtime, result.onnx, { x }), await runOnce(runtime, bytes, { x })]
  const most = Math.max(...wanted.map((value) => Math.abs(value)))
  for (const [i, value] of wanted.entries()) expect(Math.abs((actual[i] ?? NaN) - value)).toBeLessThan(0.04 * most)
  return { ...result, graph: readModel(result.onnx).graph }
}

describe('what the quantizer makes integer', () => {
  it('folds alpha and beta of a Gemm', async () => {
    const bytes = model([makeNode('Gemm', ['x', 'w', 'b'], ['y'], { alpha: -3, beta: 0.5, transB: 1n })], { w, b })
    expect((await quantizeClosely(bytes)).quantized).toEqual(['Gemm:y'])
  })

  it('takes weights from Constant nodes and removes them', async () => {
    const nodes = [makeNode('Constant', [], ['w'], { value: w }), makeNode('MatMul', ['x', 'w'], ['y'])]
    const { graph } = await quantizeClosely(model(nodes, {}))
    expect(graph?.node.map((node) => node.opType)).toEqual([
      'QuantizeLinear',
      'DequantizeLinear',
      'DequantizeLinear',
      'MatMul',
    ])
  })

  it('takes weights that an old exporter lists as inputs, and lists them no more', async () => {
    const float = readModel(model([makeNode('MatMul', ['x', 'w'], ['y'])], { w }))
    float.graph?.input.push(valueInfo({ name: 'w', dtype: 'float32', shape: [4, 4] }))
    const { graph } = await quantizeClosely(writeModel(float))
    expect(graph?.input.map((info) => info.name)).toEqual(['x'])
  })

  it('quantizes a tensor once for all layers that read it, and weights used twice for each', async () => {
    const nodes = [
      makeNode('MatMul', ['x', 'w'], ['m1']),
      makeNode('MatMul', ['x', 'w'], ['m2']),
      makeNode('Mul', ['m1', 'm2'], ['y']),
    ]
    const { graph, quantized } = await quantizeClosely(model(nodes, { w }))
    expect(quantized).toEqual(['MatMul:m1', 'MatMul:m2'])
    expect(graph?.node.filter((node) => node.opType === 'QuantizeLinear')).toHaveLength(1)
    expect(graph?.initializer.some(({ dataType, dims }) => dataType === 1 && dims.length === 2)).toBe(false)
  })

  it('keeps a float weight that something else still reads', async () => {
    const nodes = [
      makeNode('MatMul', ['x', 'w'], ['m']),
      makeNode('Einsum', ['m', 'w'], ['y'], { equation: 'ij,jk->ik' }),
    ]
    const { graph } = await quantizeClosely(model(nodes, { w }))
    expect(graph?.initializer.filter(({ dataType, dims }) => dataType === 1 && dims.length === 2)).toHaveLength(1)
  })

  it('leaves an Add alone when the product is read elsewhere too', async () => {
    const nodes = [
      makeNode('MatMul', ['x', 'w'], ['m']),
      makeNode('Add', ['m', 'b'], ['a']),
      makeNode('Mul', ['a', 'm'], ['y']),
    ]
    const { kept } = await quantizeClosely(model(nodes, { w, b }))
    expect(kept.map(({ node }) => node)).toEqual(['Add:a', 'Mul:y'])
  })
})

describe('what the quantizer leaves in float, with the reason', () => {
  it.each<[string, Node, Readonly<Record<string, Tensor>>]>([
    ['second input', makeNode('Gemm', ['r', 'r'], ['k'], { transB: 1n }), {}],
    ['transposes', makeNode('Gemm', ['r', 'r'], ['k'], { transA: 1n }), {}],
    ['bias', makeNode('Gemm', ['r', 'w', 'r'], ['k']), {}],
    ['constant too', makeNode('MatMul', ['c', 'w'], ['k']), { c: w }],
    [
      'not finite',
      makeNode('MatMul', ['r', 'bad'], ['k']),
      { bad: floats([4, 4], new Float32Array(16).fill(Infinity)) },
    ],
    ['no integer rule for Einsum', makeNode('Einsum', ['r', 'w'], ['k'], { equation: 'ij,jk->ik' }), {}],
  ])('says why: %s', async (reason, node, constants) => {
    const nodes = [makeNode('MatMul', ['x', 'w'], ['y']), makeNode('Relu', ['x'], ['r']), node]
    const { quantized, kept } = await run(model(nodes, { w, ...constants }), { x })
    expect(quantized).toEqual(['MatMul:y'])
    expect(kept.find((item) => item.node.endsWith(':k'))?.reason).toContain(reason)
  })

  it('says why: values too large for the scale of their product, and QUANTIZE_NOTHING if no other layer is left', async () => {
    const huge = floats([4, 4], new Float32Array(16).fill(1e22))
    const far = [makeNode('Mul', ['x', 'c'], ['h']), makeNode('MatMul', ['h', 'huge'], ['k'])]
    const constants = { w, huge, c: floats([], [1e22]) }
    const { quantized, kept } = await run(model([makeNode('MatMul', ['x', 'w'], ['y']), ...far], constants), { x })
    expect(quantized).toEqual(['MatMul:y'])
    expect(kept).toContainEqual({ node: 'MatMul:k', reason: expect.stringContaining('too large') })
    const alone = run(model([...far, makeNode('Relu', ['k'], ['y'])], constants), { x })
    await expect(alone).rejects.toMatchObject({ code: 'QUANTIZE_NOTHING' })
  })
})

describe('what the quantizer refuses before work starts', () => {
  const fails = (bytes: Uint8Array, calibration: Tensors) =>
    run(bytes, calibration).then(
      () => undefined,
      (error: unknown) => error as { code: string; data: { issues: string[]; nodes: string[] } },
    )
  const dense = denseModel(w, b)

  it('a model that is quantized already, naming the nodes', async () => {
    const { onnx } = await run(dense, { x })
    expect(await fails(onnx, {})).toMatchObject({
      code: 'MODEL_ALREADY_QUANTIZED',
      data: { nodes: expect.arrayContaining([expect.stringMatching(/^QuantizeLinear:/)]) },
    })
  })

  it('a model in an operator set without scales per channel', async () => {
    const old = model([makeNode('MatMul', ['x', 'w'], ['y'])], { w }, 12n)
    expect(await fails(old, {})).toMatchObject({ code: 'QUANTIZE_OPSET_TOO_OLD', data: { opset: 12 } })
  })

  it('a model with nothing to quantize', async () => {
    expect(await fails(model([makeNode('Relu', ['x'], ['y'])], {}), {})).toMatchObject({ code: 'QUANTIZE_NOTHING' })
  })

  it('bytes that are no model', async () => {
    expect(await fails(Uint8Array.of(1, 2, 3), { x })).toMatchObject({ code: 'MODEL_INVALID' })
  })

  const cells = (change: (data: Float32Array) => void) => {
    const data = Float32Array.from(x.data as Float32Array)
    change(data)
    return floats([50, 4], data)
  }
  it.each<[string, Tensors, string]>([
    ['a missing input', {}, 'x: is missing'],
    ['an unknown input', { x, z: x }, 'z: is not an input'],
    ['zero rows', { x: floats([0, 4], []) }, 'x: has no rows'],
    ['another width', { x: floats([40, 5], new Float32Array(200)) }, 'x: shape is [40, 5]'],
    ['another type', { x: { dtype: 'int8', shape: [1, 4], data: new Int8Array(4) } }, 'x: type is int8'],
    ['NaN', { x: cells((data) => data.fill(NaN, 9, 10)) }, 'x: row 2 holds a value that is not finite'],
    ['infinity', { x: cells((data) => data.fill(-Infinity, 199)) }, 'x: row 49 holds a value that is not finite'],
  ])('calibration with %s', async (_, calibration, issue) => {
    const error = await fails(dense, calibration)
    expect(error?.code).toBe('CALIBRATION_INVALID')
    expect(
      error?.data.issues.some((text) => text.startsWith(issue)),
      error?.data.issues.join(),
    ).toBe(true)
  })

  it('calibration that names every bad input at once, and unequal numbers of rows', async () => {
    const two = (name: string) => ({ name, dtype: 'float32', shape: [null, 4] }) as const
    const bytes = modelOf({
      input: [two('x'), two('v'), two('u')],
      output: two('y'),
      node: [makeNode('Sum', ['x', 'v', 'u'], ['s']), makeNode('MatMul', ['s', 'w'], ['y'])],
      constants: { w },
    })
    const error = await fails(bytes, { x, v: floats([0, 4], []) })
    expect(error?.data.issues.map((issue) => issue.split(':')[0])).toEqual(['v', 'u', 'v'])
    const unequal = await fails(bytes, { x, v: x, u: floats([1, 4], [0, 0, 0, 0]) })
    expect(unequal?.data.issues).toEqual(['u: has 1 rows where x has 50'])
  })

  it('calibration of which the model makes infinity', async () => {
    const nodes = [makeNode('Exp', ['x'], ['e']), makeNode('MatMul', ['e', 'w'], ['y'])]
    const error = await fails(model(nodes, { w }), { x: floats([1, 4], [0, 0, 0, 1000]) })
    expect(error).toMatchObject({
      code: 'CALIBRATION_INVALID',
      data: { issues: [expect.stringMatching(/^e: .*1 value/)] },
    })
  })
})
