import { GraphBuilder, writeModel } from '@tideway/onnx'
import { runtimeContract } from '@tideway/test/contract/runtime'
import { affine, affineModel, identityModel } from '@tideway/test/support/onnx-models'
import { describeWithGpu } from '@tideway/test/support/vulkan'
import { describe, expect, it } from 'vitest'
import { createOnnxNodeRuntime } from './runtime.js'

/** Float sums of a few products in another order. */
const TOLERANCE = 1e-5

describeWithGpu('onnx-node on WebGPU', () => {
  const create = () => createOnnxNodeRuntime({ provider: 'webgpu' })

  runtimeContract('onnx-node on WebGPU', { create, ...affine(), tolerance: TOLERANCE })

  it('answers for a convolution, pooling and normalization what the CPU answers', async () => {
    const g = new GraphBuilder('net')
    const wave = (...shape: number[]) => {
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => Math.sin(1 + at * at))
      return { dtype: 'float32', shape, data } as const
    }
    const x = g.input('x', 'float32', [null, 3, 8, 8])
    const same = { kernel_shape: [3n, 3n], pads: [1n, 1n, 1n, 1n] }
    const convolved = g.op('Relu', [g.op('Conv', [x, g.initializer('w', wave(8, 3, 3, 3))], same)])
    const pooled = g.op('MaxPool', [convolved], { kernel_shape: [2n, 2n], strides: [2n, 2n] })
    const flat = g.op('Flatten', [pooled], { axis: 1n })
    g.output('y', g.op('Softmax', [g.op('MatMul', [flat, g.initializer('v', wave(128, 5))])], { axis: -1n }))
    const model = writeModel(g.build())
    const inputs = { x: wave(2, 3, 8, 8) }
    const answers = []
    for (const provider of ['webgpu', 'cpu']) {
      const session = await createOnnxNodeRuntime({ provider }).load(model)
      answers.push((await session.run(inputs))['y']!.data as Float32Array)
      await session.dispose()
    }
    // Sums of 128 products of order one before a softmax.
    for (const [at, value] of answers[0]!.entries()) expect(Math.abs(value - answers[1]![at]!)).toBeLessThan(1e-4)
  })

  it('takes a model as a whole or says what runs it, and goes there where it is told to', async () => {
    const model = identityModel('float64')
    const error = await create()
      .load(model)
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', data: { provider: 'webgpu' } })
    expect((error as Error).message).toContain('webgpu+cpu')
    const told: string[] = []
    const session = await create().load(model, {
      fallback: { to: ['webgpu+cpu'], onFallback: ({ from, to }) => told.push(`${from} to ${to}`) },
    })
    expect(told).toEqual(['webgpu to webgpu+cpu'])
    expect(session.provider).toBe('webgpu+cpu')
    expect(session.fallbacks[0]?.error).toMatchObject({ code: 'PROVIDER_UNAVAILABLE' })
    await session.dispose()
  })

  it('stays in the list when it cannot take a model', async () => {
    const runtime = create()
    await expect(runtime.load(identityModel('float64'))).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' })
    expect(runtime.flags.providers).toContain('webgpu')
  })
})

describe('a provider that is not here', () => {
  it('is an error with the reason, or a step to another that is said', async () => {
    const runtime = createOnnxNodeRuntime({ provider: 'no-such' })
    const refused = runtime.load(affineModel())
    await expect(refused).rejects.toMatchObject({ code: 'PROVIDER_UNAVAILABLE' })
    await expect(refused).rejects.toThrow(/has none of that name/)
    const reasons: string[] = []
    const fallback = {
      to: ['neither', 'cpu'],
      onFallback: ({ error }: { error: Error }) => reasons.push(error.message),
    }
    const session = await runtime.load(affineModel(), { fallback })
    expect(reasons).toHaveLength(2)
    expect(session).toMatchObject({ provider: 'cpu' })
    expect(session.fallbacks.map(({ from, to }) => [from, to])).toEqual([
      ['no-such', 'neither'],
      ['neither', 'cpu'],
    ])
    await session.dispose()
  })

  it('is no way around a model that is none', async () => {
    const fallback = { to: ['cpu'], onFallback: () => expect.fail('there is nothing to fall back from') }
    await expect(createOnnxNodeRuntime({ fallback }).load(new Uint8Array(64))).rejects.toMatchObject({
      code: 'MODEL_INVALID',
    })
  })
})
