import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { describe, expect, it } from 'vitest'
import { floats, graphSubject, layersModel } from '../models.fixture.js'
import { createTfjsRuntime } from '../runtime.js'
import { chooseBackend } from './choose.js'
import { holdBackend, onBackend } from './exclusive.js'

await chooseBackend(['cpu'])
await chooseBackend(['wasm'])

describe('one backend at a time', () => {
  it('is computed on by each task in its turn, also by one that waits in between', async () => {
    const seen: string[] = []
    let go = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const tasks = [
      onBackend('cpu', () => seen.push(`1 ${tf.getBackend()}`)),
      holdBackend('wasm', async () => {
        seen.push(`2 ${tf.getBackend()}`)
        await gate
        seen.push(`2 ${tf.getBackend()}`)
      }),
      onBackend('cpu', () => seen.push(`3 ${tf.getBackend()}`)),
    ]
    await tasks[0]
    setImmediate(go)
    await Promise.all(tasks)
    expect(seen).toEqual(['1 cpu', '2 wasm', '2 wasm', '3 cpu'])
  })

  it('is switched back after a task that fails, and the next one runs', async () => {
    await tf.setBackend('cpu')
    const failing = onBackend('wasm', () => {
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(tf.getBackend()).toBe('cpu')
    await expect(holdBackend('wasm', () => Promise.reject(new Error('nor')))).rejects.toThrow('nor')
    expect(await onBackend('wasm', () => tf.getBackend())).toBe('wasm')
    expect(tf.getBackend()).toBe('cpu')
  })

  it('serves sessions on two of them at once, and other code on its own', async () => {
    await tf.setBackend('cpu')
    const { model, cases, tolerance } = graphSubject()
    const runtime = createTfjsRuntime()
    const sessions = await Promise.all(
      ['cpu', 'wasm', 'cpu', 'wasm'].map((provider) => runtime.load(model, { provider })),
    )
    const own = tf.tensor1d([1, 2, 3])
    const [before, wanted] = [tf.memory().numTensors, cases[1]!]
    for (let round = 0; round < 20; round += 1) {
      const answers = Promise.all(sessions.map((session) => session.run(wanted.inputs)))
      expect(tf.tidy(() => tf.sum(own).dataSync()[0])).toBe(6)
      expect(tf.getBackend()).toBe('cpu')
      for (const { sum, probabilities } of await answers) {
        expect(sum).toEqual(wanted.outputs.sum)
        for (const [at, value] of (probabilities!.data as Float32Array).entries())
          expect(Math.abs(value - Number(wanted.outputs.probabilities.data[at]))).toBeLessThanOrEqual(tolerance)
      }
    }
    expect(tf.memory().numTensors).toBe(before)
    own.dispose()
    await Promise.all(sessions.map((session) => session.dispose()))
  })
})

describe('a kernel that would write outside of its tensor', () => {
  it.each(['cpu', 'wasm'])('on %s fails the run, and harms no other session', async (provider) => {
    const { layers } = tfl
    const conv = layers.conv2d({ inputShape: [null, null, 1], filters: 2, kernelSize: 3, activation: 'elu' })
    const make = () => tfl.sequential({ layers: [conv, layers.globalAveragePooling2d({})] })
    const x = floats(
      [1, 4, 4, 1],
      Array.from({ length: 16 }, (_, at) => at / 16),
    )
    const { bytes, outputs } = await layersModel(make, [x])
    const session = await createTfjsRuntime().load(bytes, { provider })
    const [input, output] = [session.signature.inputs[0]!.name, session.signature.outputs[0]!.name]
    const small = session.run({ [input]: floats([1, 1, 1, 1], [1]) })
    await expect(small).rejects.toMatchObject({
      code: 'RUN_FAILED',
      data: { reason: expect.stringContaining('too small') },
    })
    const { data } = (await session.run({ [input]: x }))[output]!
    // Sums of nine products, in another order on wasm.
    for (const [at, value] of outputs[0]!.entries()) expect(Math.abs(Number(data[at]) - value)).toBeLessThan(1e-6)
    await session.dispose()
  })

  it.each(['cpu', 'wasm'])('as a row that a table does not have is refused on %s', async (provider) => {
    const { layers } = tfl
    const make = () => tfl.sequential({ layers: [layers.embedding({ inputDim: 3, outputDim: 2, inputShape: [1] })] })
    const { bytes } = await layersModel(make, [floats([1, 1], [2])])
    const session = await createTfjsRuntime().load(bytes, { provider })
    const input = session.signature.inputs[0]!.name
    for (const row of [3, -1, 1e9])
      await expect(session.run({ [input]: floats([1, 1], [row]) })).rejects.toMatchObject({ code: 'RUN_FAILED' })
    await session.dispose()
  })
})
