import { create } from '@bufbuild/protobuf'
import { createHost, type DataType, type Tensor, tokens } from '@tideway/core'
import { GraphBuilder, int64s, makeNode, readModel, ValueInfoSchema, writeModel } from '@tideway/onnx'
import { runtimeContract } from '@tideway/test/contract/runtime'
import { describe, expect, it } from 'vitest'
import { affineModel, affineSignature, floats, identityModel, modelBytes } from './models.fixture.js'
import { onnxNodeRuntime } from './plugin.js'
import { createOnnxNodeRuntime } from './runtime.js'

runtimeContract('onnx-node', {
  create: createOnnxNodeRuntime,
  model: affineModel(),
  signature: affineSignature,
  cases: [
    {
      inputs: { x: floats([1, 3], [1, 0, -1]), shift: floats([2], [0.5, -0.5]) },
      outputs: { y: floats([1, 2], [-3.5, -4.5]) },
    },
    {
      inputs: { x: floats([3, 3], [1, 1, 1, 0, 0, 0, 0, 2, 0]), shift: floats([2], [0, 0]) },
      outputs: { y: floats([3, 2], [9, 12, 0, 0, 6, 8]) },
    },
    { inputs: { x: floats([0, 3], []), shift: floats([2], [0, 0]) }, outputs: { y: floats([0, 2], []) } },
  ],
})

describe('the onnx-node runtime', () => {
  it('answers a batch of no rows to a recurrent model, whose kernel would end the process', async () => {
    const g = new GraphBuilder('recurrent')
    const rows = g.input('x', 'float32', [null, 3, 2])
    const steps = g.op('Transpose', [rows], { perm: [1n, 0n, 2n] })
    const weights = (name: string, width: number) =>
      g.initializer(name, floats([1, 6, width], new Float32Array(6 * width).fill(0.1)))
    const last = g.ops('GRU', [steps, weights('w', 2), weights('r', 2)], { hidden_size: 2n }, { outputs: 2 })[1]
    g.output('y', g.op('Reshape', [last, g.constant(int64s([-1, 2]))]))
    const session = await createOnnxNodeRuntime().load(writeModel(g.build()))
    expect((await session.run({ x: floats([2, 3, 2], new Float32Array(12)) }))['y']?.shape).toEqual([2, 2])
    expect((await session.run({ x: floats([0, 3, 2], []) }))['y']).toEqual(floats([0, 2], []))
    await session.dispose()
  })

  const tensors: { readonly [T in DataType]: Tensor } = {
    float32: { dtype: 'float32', shape: [1, 2], data: Float32Array.of(1.5, -2) },
    float64: { dtype: 'float64', shape: [1, 2], data: Float64Array.of(Math.PI, -2) },
    float16: { dtype: 'float16', shape: [1, 2], data: Uint16Array.of(0x3c00, 0xc000) },
    int8: { dtype: 'int8', shape: [1, 2], data: Int8Array.of(-128, 127) },
    uint8: { dtype: 'uint8', shape: [1, 2], data: Uint8Array.of(0, 255) },
    int16: { dtype: 'int16', shape: [1, 2], data: Int16Array.of(-32768, 32767) },
    uint16: { dtype: 'uint16', shape: [1, 2], data: Uint16Array.of(0, 65535) },
    int32: { dtype: 'int32', shape: [1, 2], data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1) },
    uint32: { dtype: 'uint32', shape: [1, 2], data: Uint32Array.of(0, 2 ** 32 - 1) },
    int64: { dtype: 'int64', shape: [1, 2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n) },
    uint64: { dtype: 'uint64', shape: [1, 2], data: BigUint64Array.of(0n, 2n ** 64n - 1n) },
    bool: { dtype: 'bool', shape: [1, 2], data: Uint8Array.of(0, 1) },
    string: { dtype: 'string', shape: [1, 2], data: ['', 'tide ~ 潮'] },
  }

  it.each(Object.values(tensors))('carries $dtype tensors in and out unchanged', async (tensor) => {
    const session = await createOnnxNodeRuntime().load(identityModel(tensor.dtype))
    expect(session.signature.inputs[0]?.dtype).toBe(tensor.dtype)
    expect(await session.run({ x: tensor })).toEqual({ y: tensor })
    await session.dispose()
  })

  it('reads inputs that are views into larger buffers', async () => {
    const session = await createOnnxNodeRuntime().load(identityModel('float32'))
    const data = Float32Array.of(9, 1, 2, 9).subarray(1, 3)
    const { y } = await session.run({ x: { dtype: 'float32', shape: [1, 2], data } })
    expect(y?.data).toEqual(Float32Array.of(1, 2))
    await session.dispose()
  })

  it('says RUN_FAILED when the model itself cannot take a shape that its signature allows', async () => {
    const signature = {
      inputs: [{ name: 'x', dtype: 'float32' as const, shape: [null, 3] }],
      outputs: [{ name: 'y', dtype: 'float32' as const, shape: [2, 3] }],
    }
    const to: Tensor = { dtype: 'int64', shape: [2], data: BigInt64Array.of(2n, 3n) }
    const bytes = modelBytes(signature, [makeNode('Reshape', ['x', 'to'], ['y'])], { to })
    const session = await createOnnxNodeRuntime().load(bytes)
    await expect(session.run({ x: floats([1, 3], [1, 2, 3]) })).rejects.toMatchObject({ code: 'RUN_FAILED' })
    expect(await session.run({ x: floats([2, 3], [1, 2, 3, 4, 5, 6]) })).toEqual({
      y: floats([2, 3], [1, 2, 3, 4, 5, 6]),
    })
    await session.dispose()
  })

  it('refuses a model whose output is no tensor with MODEL_INVALID naming it', async () => {
    const model = readModel(identityModel('float32'))
    model.graph?.node.splice(0, 1, makeNode('SequenceConstruct', ['x'], ['y']))
    // Declared without a type, which ONNX Runtime then infers.
    model.graph?.output.splice(0, 1, create(ValueInfoSchema, { name: 'y' }))
    const loading = createOnnxNodeRuntime().load(writeModel(model))
    await expect(loading).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      data: { reason: expect.stringContaining('"y"') },
    })
  })

  it('refuses an operator that no provider has with MODEL_INVALID', async () => {
    const bytes = modelBytes(affineSignature, [makeNode('NoSuchOperator', ['x'], ['y'])])
    await expect(createOnnxNodeRuntime().load(bytes)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  })

  // Elsewhere the package bundles every provider that it lists.
  it.runIf(process.platform === 'linux')('tells a provider whose libraries are missing from bad bytes', async () => {
    const runtime = createOnnxNodeRuntime({ provider: 'tensorrt' })
    await expect(runtime.load(affineModel())).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      data: { provider: 'tensorrt', available: expect.not.arrayContaining(['tensorrt']) },
    })
    await expect(runtime.load(new Uint8Array([1, 2, 3]))).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  })

  it('comes to a host as a plugin', async () => {
    const host = createHost()
    host.use(onnxNodeRuntime())
    await host.start()
    expect(host.get(tokens.runtime).name).toBe('onnx-node')
    await host.stop()
  })

  it('takes the number of threads from the load, else from its own options', async () => {
    const session = await createOnnxNodeRuntime({ intraOpThreads: 1 }).load(affineModel(), { intraOpThreads: 2 })
    const { y } = await session.run({ x: floats([1, 3], [1, 1, 1]), shift: floats([2], [0, 0]) })
    expect(y?.data).toEqual(Float32Array.of(9, 12))
    await session.dispose()
  })
})
