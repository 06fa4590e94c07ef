import * as tfl from '@tensorflow/tfjs-layers'
import { runtimeContract } from '@tideway/test/contract/runtime'
import { describeWithGpu } from '@tideway/test/support/vulkan'
import { expect, it } from 'vitest'
import { chooseBackend } from './backends/choose.js'
import { floats, graphSubject, layersModel, layersSubject, wave } from './models.fixture.js'
import { createTfjsRuntime } from './runtime.js'

/** Float sums and exponentials of a few products, as a shader computes them. */
const TOLERANCE = 1e-5

const layers = await layersSubject()

describeWithGpu('tfjs on WebGPU', () => {
  const create = () => createTfjsRuntime({ providers: ['webgpu'] })

  runtimeContract('tfjs with a Graph model on WebGPU', { create, ...graphSubject(), tolerance: TOLERANCE })
  runtimeContract('tfjs with a Layers model on WebGPU', { create, ...layers, tolerance: TOLERANCE })

  it('answers for a convolution, pooling and normalization what predict does on the CPU', async () => {
    const l = tfl.layers
    const make = () =>
      tfl.sequential({
        layers: [
          l.conv2d({ inputShape: [8, 8, 3], filters: 4, kernelSize: 3, activation: 'relu', padding: 'same' }),
          l.batchNormalization({}),
          l.maxPooling2d({ poolSize: 2 }),
          l.flatten(),
          l.dense({ units: 5, activation: 'softmax' }),
        ],
      })
    const x = floats([2, 8, 8, 3], wave(384, 3))
    const { bytes, outputs } = await layersModel(make, [x])
    const session = await create().load(bytes)
    const [input, output] = [session.signature.inputs[0]!.name, session.signature.outputs[0]!.name]
    const { data } = (await session.run({ [input]: x }))[output]!
    // Sums of 64 products of order one before a softmax.
    for (const [at, value] of outputs[0]!.entries()) expect(Math.abs(Number(data[at]) - value)).toBeLessThan(1e-4)
    await session.dispose()
  })

  it('is chosen before WebAssembly where a GPU answers, and after it where the CPU plays one', async () => {
    const { backend, skipped } = await chooseBackend(['webgpu', 'wasm'])
    if (backend === 'webgpu') expect(skipped).toEqual([])
    else expect(skipped).toMatchObject([{ backend: 'webgpu', reason: expect.stringContaining('computes on the CPU') }])
    expect((await chooseBackend(['webgpu'])).backend).toBe('webgpu')
  })
})
