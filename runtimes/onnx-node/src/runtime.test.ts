import { create } from '@bufbuild/protobuf'
import { createHost, type Tensor, tokens } from '@tideway/core'
import { makeNode, readModel, ValueInfoSchema, writeModel } from '@tideway/onnx'
import { runtimeContract } from '@tideway/test/contract/runtime'
import {
  affine,
  affineModel,
  affineSignature,
  everyType,
  floats,
  identityModel,
  modelBytes,
  recurrentModel,
} from '@tideway/test/support/onnx-models'
import { describe, expect, it } from 'vitest'
import { onnxNodeRuntime } from './plugin.js'
import { createOnnxNodeRuntime } from './runtime.js'

runtimeContract('onnx-node', { create: createOnnxNodeRuntime, ...affine() })

describe('the onnx-node runtime', () => {
  it('answers a batch of no rows to a recurrent model, whose kernel would end the process', async () => {
    const session = await createOnnxNodeRuntime().load(recurrentModel())
    expect((await session.run({ x: floats([2, 3, 2], new Float32Array(12)) }))['y']?.shape).toEqual([2, 2])
    expect((await session.run({ x: floats([0, 3, 2], []) }))['y']).toEqual(floats([0, 2], []))
    await session.dispose()
  })

  it.each(Object.values(everyType))('carries $dtype tensors in and out unchanged', async (tensor) => {
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
