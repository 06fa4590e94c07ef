import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { Tensor } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { packTfjsModel } from '../format/pack.js'
import { floats, layersModel, layersSubject, saved, wave } from '../models.fixture.js'
import { createTfjsRuntime } from '../runtime.js'

interface Net {
  readonly make: () => tfl.LayersModel
  readonly shape: readonly number[]
}

const l = tfl.layers
/** Models of the layers that are used most, each with the shape of a batch. */
const NETS: Readonly<Record<string, Net>> = {
  'convolution, normalization and pooling': {
    make: () =>
      tfl.sequential({
        layers: [
          l.conv2d({ inputShape: [8, 8, 3], filters: 4, kernelSize: 3, activation: 'relu', padding: 'same' }),
          l.batchNormalization({}),
          l.maxPooling2d({ poolSize: 2 }),
          l.depthwiseConv2d({ kernelSize: 3 }),
          l.flatten(),
          l.dense({ units: 5, activation: 'softmax' }),
        ],
      }),
    // More rows than `predict` takes at once.
    shape: [35, 8, 8, 3],
  },
  'recurrent layers, in both directions': {
    make: () =>
      tfl.sequential({
        layers: [
          l.bidirectional({
            layer: l.lstm({ units: 4, returnSequences: true, recurrentInitializer: 'zeros' }) as tfl.RNN,
            inputShape: [5, 3],
            mergeMode: 'concat',
          }),
          l.gru({ units: 3, recurrentInitializer: 'zeros' }),
          l.dense({ units: 2 }),
        ],
      }),
    shape: [3, 5, 3],
  },
  'images of any size': {
    make: () =>
      tfl.sequential({
        layers: [
          l.conv2d({ inputShape: [null, null, 2], filters: 3, kernelSize: 3, activation: 'elu' }),
          l.globalAveragePooling2d({}),
          l.layerNormalization({}),
        ],
      }),
    shape: [2, 6, 7, 2],
  },
  'a model in a model': {
    make: () => {
      const inner = tfl.sequential({ layers: [l.dense({ inputShape: [4], units: 3, activation: 'tanh' })] })
      const x = tfl.input({ shape: [4], name: 'x' })
      const twice = inner.apply(x) as tfl.SymbolicTensor
      return tfl.model({ inputs: x, outputs: l.dense({ units: 1, name: 'y' }).apply(twice) as tfl.SymbolicTensor })
    },
    shape: [3, 4],
  },
}

const input = (shape: readonly number[]): Tensor =>
  floats(
    shape,
    wave(
      shape.reduce((a, b) => a * b, 1),
      3,
    ),
  )

describe('a Layers model', () => {
  it.each(Object.entries(NETS))('of %s answers what its own predict does', async (_, { make, shape }) => {
    const x = input(shape)
    const { bytes, outputs } = await layersModel(make, [x])
    for (const [provider, tolerance] of [
      ['cpu', 0],
      // Sums of some hundred products in another order.
      ['wasm', 1e-5],
    ] as const) {
      const session = await createTfjsRuntime().load(bytes, { provider })
      const { inputs, outputs: specs } = session.signature
      expect([inputs[0]!.shape[0], specs[0]!.shape[0], inputs[0]!.shape.length]).toEqual([null, null, shape.length])
      const answer = (await session.run({ [inputs[0]!.name]: x }))[specs[0]!.name]!
      for (const [at, value] of outputs[0]!.entries())
        expect(Math.abs(Number(answer.data[at]) - value)).toBeLessThanOrEqual(tolerance)
      expect(answer.data).toHaveLength(outputs[0]!.length)
      const none = await session.run({ [inputs[0]!.name]: input([0, ...shape.slice(1)]) })
      expect(none[specs[0]!.name]!.shape[0]).toBe(0)
      await session.dispose()
    }
  })

  it('keeps no tensor: 200 runs leave as many as there were, and a disposed session none', async () => {
    const { bytes } = await layersModel(NETS['recurrent layers, in both directions']!.make, [input([1, 5, 3])])
    for (const provider of ['cpu', 'wasm']) {
      const before = tf.memory().numTensors
      const session = await createTfjsRuntime().load(bytes, { provider })
      const name = session.signature.inputs[0]!.name
      const loaded = tf.memory()
      for (let run = 0; run < 200; run += 1) await session.run({ [name]: input([2, 5, 3]) })
      expect([tf.memory().numTensors, tf.memory().numBytes]).toEqual([loaded.numTensors, loaded.numBytes])
      await session.dispose()
      expect(tf.memory().numTensors).toBe(before)
    }
  })

  it('is refused as a whole, and leaves nothing behind, when its weights do not fit its layers', async () => {
    const model = tfl.sequential({ layers: [l.dense({ inputShape: [3], units: 2, name: 'd' })] })
    const { modelJson, weights } = await saved(model)
    model.dispose()
    const before = tf.memory().numTensors
    const specs = [
      { name: 'd/kernel', shape: [2, 3], dtype: 'float32' },
      { name: 'd/bias', shape: [2], dtype: 'float32' },
    ]
    for (const [wrong, reason] of [
      [specs, /d\/kernel.*has shape \[2, 3\], its layer needs \[3, 2\]/],
      [[{ ...specs[0]!, name: 'e/kernel', shape: [3, 2] }, specs[1]!], /no target variable: e\/kernel/],
      [[{ name: 'd/kernel', shape: [4, 2], dtype: 'float32' }], /has shape \[4, 2\]/],
    ] as const) {
      const file = packTfjsModel({ ...modelJson, weightsManifest: [{ paths: ['a'], weights: wrong }] }, { a: weights })
      const error: unknown = await createTfjsRuntime({ providers: ['wasm'] })
        .load(file)
        .catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'MODEL_INVALID' })
      expect((error as Error).message).toMatch(reason)
    }
    expect(tf.memory().numTensors).toBe(before)
  })

  it('that keeps state from run to run is refused', async () => {
    const layer = l.lstm({ units: 2, stateful: true, recurrentInitializer: 'zeros', batchInputShape: [1, 4, 3] })
    const { bytes } = await layersModel(() => tfl.sequential({ layers: [layer] }), [input([1, 4, 3])])
    await expect(createTfjsRuntime({ providers: ['cpu'] }).load(bytes)).rejects.toThrow(/keeps state from run to run/)
  })

  it('leaves out the weights of its optimizer', async () => {
    const { model, cases } = await layersSubject()
    const file = JSON.parse(new TextDecoder().decode(model)) as {
      weightsManifest: { paths: string[]; weights: object[] }[]
    }
    const group = file.weightsManifest[0]!
    const moment = { name: 'Adam/m', shape: [2], dtype: 'float32', group: 'optimizer' }
    const weights = new Uint8Array(Buffer.from(group.paths[0]!.split(',')[1]!, 'base64'))
    const more = { ...file, weightsManifest: [{ paths: ['a', 'b'], weights: [...group.weights, moment] }] }
    const session = await createTfjsRuntime({ providers: ['cpu'] }).load(
      packTfjsModel(more, { a: weights, b: new Uint8Array(8) }),
    )
    expect(await session.run(cases[0]!.inputs)).toEqual(cases[0]!.outputs)
    await session.dispose()
  })
})
