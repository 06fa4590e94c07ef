import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createHost, type Fallback, PROBE, tokens } from '@tideway/core'
import { makeNode, readModel, signatureOf, writeModel } from '@tideway/onnx'
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
import { onnxWebRuntime } from './plugin.js'
import { createOnnxWebRuntime } from './runtime.js'

runtimeContract('onnx-web in Node', { create: createOnnxWebRuntime, ...affine() })

describe('the onnx-web runtime in Node', () => {
  it.each(Object.values(everyType))('carries $dtype tensors in and out unchanged', async (tensor) => {
    const session = await createOnnxWebRuntime().load(identityModel(tensor.dtype))
    expect(session.signature.inputs[0]?.dtype).toBe(tensor.dtype)
    expect(await session.run({ x: tensor })).toEqual({ y: tensor })
    await session.dispose()
  })

  it('answers a batch of no rows to a recurrent model, whose kernel would end the engine', async () => {
    const session = await createOnnxWebRuntime().load(recurrentModel())
    expect((await session.run({ x: floats([2, 3, 2], new Float32Array(12)) }))['y']?.shape).toEqual([2, 2])
    expect((await session.run({ x: floats([0, 3, 2], []) }))['y']).toEqual(floats([0, 2], []))
    await session.dispose()
  })

  it('says RUN_FAILED when the model itself cannot take a shape that its signature allows, and goes on', async () => {
    const signature = {
      inputs: [{ name: 'x', dtype: 'float32' as const, shape: [null, 3] }],
      outputs: [{ name: 'y', dtype: 'float32' as const, shape: [2, 3] }],
    }
    const to = { dtype: 'int64' as const, shape: [2], data: BigInt64Array.of(2n, 3n) }
    const session = await createOnnxWebRuntime().load(
      modelBytes(signature, [makeNode('Reshape', ['x', 'to'], ['y'])], { to }),
    )
    await expect(session.run({ x: floats([1, 3], [1, 2, 3]) })).rejects.toMatchObject({ code: 'RUN_FAILED' })
    const six = [1, 2, 3, 4, 5, 6]
    expect(await session.run({ x: floats([2, 3], six) })).toEqual({ y: floats([2, 3], six) })
    await session.dispose()
  })

  it('takes a size that has neither number nor name for a free one, as some exporters write it', async () => {
    const model = readModel(affineModel())
    for (const { type } of [...model.graph!.input, ...model.graph!.output])
      for (const size of type?.value.case === 'tensorType' ? type.value.value.shape!.dim : [])
        if (size.value.case === 'dimParam') size.value = { case: undefined }
    const session = await createOnnxWebRuntime().load(writeModel(model))
    expect(session.signature).toEqual(affineSignature)
    for (const { inputs, outputs } of affine().cases) expect(await session.run(inputs)).toEqual(outputs)
    await session.dispose()
  })

  it('refuses an operator that it does not have with MODEL_INVALID', async () => {
    const bytes = modelBytes(affineSignature, [makeNode('NoSuchOperator', ['x'], ['y'])])
    await expect(createOnnxWebRuntime().load(bytes)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  })

  it('has no WebGPU, says why, and goes to another provider only where it is told of it', async () => {
    const bytes = affineModel()
    const runtime = createOnnxWebRuntime({ provider: 'webgpu' })
    await expect(runtime.load(bytes)).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      data: { provider: 'webgpu', available: ['wasm'], reason: expect.stringContaining('none of that name here') },
    })
    const told: Fallback[] = []
    const fallback = { to: ['webgpu+wasm', 'wasm'], onFallback: (step: Fallback) => void told.push(step) }
    const session = await runtime.load(bytes, { fallback })
    expect(session.provider).toBe('wasm')
    expect(told.map(({ from, to }) => [from, to])).toEqual([
      ['webgpu', 'webgpu+wasm'],
      ['webgpu+wasm', 'wasm'],
    ])
    expect(session.fallbacks).toEqual(told)
    for (const { error } of told) expect(error).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' })
    await session.dispose()
  })

  it('does not go to another provider with bytes that are no model', async () => {
    const fallback = { to: ['wasm'], onFallback: () => expect.unreachable() }
    const loading = createOnnxWebRuntime().load(new Uint8Array([1, 2, 3]), { fallback })
    await expect(loading).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  })

  it('tells the threads that it has, and refuses another number than the first model started', async () => {
    const runtime = createOnnxWebRuntime()
    const session = await runtime.load(affineModel())
    const { threads } = session
    expect(threads).toBeGreaterThanOrEqual(1)
    await (await runtime.load(affineModel(), { intraOpThreads: threads })).dispose()
    await expect(runtime.load(affineModel(), { intraOpThreads: threads + 1 })).rejects.toMatchObject({
      code: 'THREADS_UNAVAILABLE',
      data: { threads: threads + 1, available: threads },
    })
    await session.dispose()
  })

  it('refuses what is no number of threads, or no limit', async () => {
    const runtime = createOnnxWebRuntime()
    for (const intraOpThreads of [0, -1, 1.5, Number.NaN])
      await expect(runtime.load(affineModel(), { intraOpThreads })).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
    for (const maxModelBytes of [0, Number.NaN])
      await expect(runtime.load(new Blob([]), { maxModelBytes })).rejects.toMatchObject({ code: 'INPUT_REJECTED' })
  })

  it('gives memory back: a hundred models of 4 MiB, one after another, take no more than a few at once', async () => {
    const elements = 2 ** 20
    const spec = { dtype: 'float32' as const, shape: [null, elements] }
    const signature = { inputs: [{ name: 'x', ...spec }], outputs: [{ name: 'y', ...spec }] }
    const weights = { w: floats([elements], new Float32Array(elements).fill(1)) }
    const bytes = modelBytes(signature, [makeNode('Add', ['x', 'w'], ['y'])], weights)
    const runtime = createOnnxWebRuntime()
    const x = floats([1, elements], new Float32Array(elements))
    const round = async (): Promise<void> => {
      const session = await runtime.load(bytes)
      await session.run({ x })
      await session.dispose()
    }
    for (let at = 0; at < 20; at++) await round()
    const before = process.memoryUsage.rss()
    for (let at = 0; at < 100; at++) await round()
    // A hundred that stay would be 400 MiB of weights alone; outputs wait for the garbage collector, some at a time.
    expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(150)
  })

  it.each([1, 3])('lets its process end by itself, with threads: %i', async (threads) => {
    const script = fileURLToPath(new URL('./exit.fixture.mjs', import.meta.url))
    for (const end of ['dispose', 'leave']) {
      const args = [script, Buffer.from(PROBE).toString('base64'), String(threads), end]
      const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 })
      expect([stdout, stderr]).toEqual([`${threads} 0\n`, ''])
    }
  })

  it('tries an engine with a model that is one', () => {
    expect(signatureOf(readModel(PROBE))).toEqual({
      inputs: [{ name: 'x', dtype: 'float32', shape: [1] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: [1] }],
    })
  })

  it('comes to a host as a plugin', async () => {
    const host = createHost()
    host.use(onnxWebRuntime())
    await host.start()
    expect(host.get(tokens.runtime).name).toBe('onnx-web')
    await host.stop()
  })
})
