import * as tf from '@tensorflow/tfjs-core'
import type { Fallback, Tensor } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { packTfjsModel } from '../format/pack.js'
import { floats, graph, graphSubject } from '../models.fixture.js'
import { createTfjsRuntime } from '../runtime.js'

const cpu = () => createTfjsRuntime({ providers: ['cpu'] })

const placeholder = (name: string, type: string, ...sizes: number[]) => ({
  name,
  op: 'Placeholder',
  attr: { dtype: { type }, shape: { shape: { dim: sizes.map((size) => ({ size: String(size) })) } } },
})
const file = (node: object[], more: object = {}, weights: object[] = [], bytes = new Uint8Array(0)) =>
  packTfjsModel(
    {
      format: 'graph-model',
      modelTopology: { node, versions: { producer: 1 } },
      weightsManifest: [{ paths: ['w'], weights }],
      ...more,
    },
    { w: bytes },
  )
const ints = (shape: number[], data: number[]): Tensor => ({ dtype: 'int32', shape, data: Int32Array.from(data) })
const float = { T: { type: 'DT_FLOAT' } }

describe('a Graph model', () => {
  it('without a signature has the names of its nodes, and the sizes that it shows', async () => {
    const { signature: _, ...modelJson } = graph.modelJson
    const session = await cpu().load(packTfjsModel(modelJson, graph.shards))
    expect(session.signature).toEqual({
      inputs: [{ name: 'x', dtype: 'float32', shape: [null, 3] }],
      outputs: [{ name: 'softmax', dtype: 'float32', shape: [null, 2] }],
    })
    const { inputs, outputs } = graphSubject().cases[1]!
    const { softmax } = await session.run({ x: inputs.pixels })
    for (const [at, value] of (softmax!.data as Float32Array).entries())
      expect(value).toBeCloseTo(Number(outputs.probabilities.data[at]), 6)
    await session.dispose()
  })

  it('takes and gives whole numbers and truth values, and two outputs of one node', async () => {
    const tensor = (name: string, dtype: string, ...sizes: number[]) => ({
      name,
      dtype,
      tensorShape: { dim: sizes.map((size) => ({ size: String(size) })) },
    })
    const axis = new Uint8Array(Int32Array.of(1).buffer)
    const model = file(
      [
        placeholder('a', 'DT_INT32', -1, 4),
        placeholder('flag', 'DT_BOOL', -1, 2),
        { name: 'axis', op: 'Const', attr: { dtype: { type: 'DT_INT32' } } },
        { name: 'half', op: 'Split', input: ['axis', 'a'], attr: { num_split: { i: '2' }, T: { type: 'DT_INT32' } } },
        { name: 'less', op: 'Less', input: ['half', 'half:1'], attr: { T: { type: 'DT_INT32' } } },
        { name: 'both', op: 'LogicalAnd', input: ['less', 'flag'], attr: {} },
      ],
      {
        signature: {
          inputs: { a: tensor('a:0', 'DT_INT32', -1, 4), flag: tensor('flag:0', 'DT_BOOL', -1, 2) },
          // The type of `right` is not told, and its sizes are wrong.
          outputs: {
            left: tensor('half:0', 'DT_INT32', -1, 2),
            right: { name: 'half:1', tensorShape: { dim: [{ size: '7' }] } },
            // As a converter wrote that was given one row.
            both: tensor('both:0', 'DT_BOOL', 1, 2),
          },
        },
      },
      [{ name: 'axis', shape: [], dtype: 'int32' }],
      axis,
    )
    const session = await cpu().load(model)
    expect(session.signature.outputs).toEqual([
      { name: 'left', dtype: 'int32', shape: [null, 2] },
      { name: 'right', dtype: 'int32', shape: [null, 2] },
      { name: 'both', dtype: 'bool', shape: [null, 2] },
    ])
    const answer = await session.run({
      a: ints([2, 4], [1, 9, 3, 4, 5, 6, 7, 8]),
      flag: { dtype: 'bool', shape: [2, 2], data: Uint8Array.of(1, 1, 0, 1) },
    })
    expect(answer).toEqual({
      left: ints([2, 2], [1, 9, 5, 6]),
      right: ints([2, 2], [3, 4, 7, 8]),
      both: { dtype: 'bool', shape: [2, 2], data: Uint8Array.of(1, 0, 0, 1) },
    })
    await session.dispose()
  })

  it('with sizes that show on the way runs in steps, and keeps no tensor', async () => {
    // The places of what is not zero: as many rows as there are such places.
    const model = file([
      placeholder('x', 'DT_BOOL', -1, 2),
      { name: 'where', op: 'Where', input: ['x'], attr: { T: { type: 'DT_BOOL' } } },
    ])
    const before = tf.memory().numTensors
    const session = await cpu().load(model)
    const x = { dtype: 'bool', shape: [2, 2], data: Uint8Array.of(0, 1, 1, 0) } as const
    const loaded = tf.memory().numTensors
    const answers = await Promise.all(Array.from({ length: 20 }, () => session.run({ x })))
    for (const { where } of answers) expect(where).toEqual(ints([2, 2], [0, 1, 1, 0]))
    expect(tf.memory().numTensors).toBe(loaded)
    await session.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('that answers a weight or an input itself answers a copy', async () => {
    const w = Float32Array.of(1, 2)
    const model = file(
      [
        placeholder('x', 'DT_FLOAT', -1, 2),
        { name: 'w', op: 'Const' },
        { name: 'y', op: 'Identity', input: ['x'], attr: float },
      ],
      {
        signature: {
          inputs: { x: { name: 'x:0' } },
          outputs: { y: { name: 'y:0' }, w: { name: 'w:0' }, x2: { name: 'x:0' } },
        },
      },
      [{ name: 'w', shape: [2], dtype: 'float32' }],
      new Uint8Array(w.buffer),
    )
    for (const provider of ['cpu', 'wasm']) {
      const session = await createTfjsRuntime().load(model, { provider })
      const x = floats([1, 2], [3, 4])
      for (let run = 0; run < 2; run += 1) {
        const { y, w: answered, x2 } = await session.run({ x })
        expect([y, x2, answered]).toEqual([x, x, floats([2], [1, 2])])
        for (const tensor of [y!, x2!, answered!]) (tensor.data as Float32Array).fill(-1)
      }
      expect(x).toEqual(floats([1, 2], [3, 4]))
      await session.dispose()
    }
  })

  it.each([
    ['float16', Uint16Array.of(0x3c00, 0x4000, 0xc200, 0x3800), [1, 2, -3, 0.5], {}],
    ['uint8', Uint8Array.of(0, 1, 128, 255), [-1, -0.5, 63, 126.5], { scale: 0.5, min: -1 }],
    ['uint16', Uint16Array.of(0, 1, 256, 65_535), [4, 4.25, 68, 16_387.75], { scale: 0.25, min: 4 }],
  ] as const)('has its weights from %s', async (dtype, data, values, scale) => {
    const model = file(
      [
        placeholder('x', 'DT_FLOAT', -1, 2),
        { name: 'w', op: 'Const' },
        { name: 'y', op: 'MatMul', input: ['x', 'w'], attr: float },
      ],
      {},
      [{ name: 'w', shape: [2, 2], dtype: 'float32', quantization: { dtype, ...scale } }],
      new Uint8Array(data.buffer),
    )
    const session = await cpu().load(model)
    const { y } = await session.run({ x: floats([2, 2], [1, 0, 0, 1]) })
    expect(y).toEqual(floats([2, 2], values))
    await session.dispose()
  })

  it('with an operation that its backend lacks is refused, or taken by the next one that is named', async () => {
    const model = file([
      placeholder('x', 'DT_FLOAT', -1, 3),
      { name: 'y', op: 'Einsum', input: ['x', 'x'], attr: { equation: { s: 'YmksYmstPmJr' }, N: { i: '2' } } },
    ])
    const equation = Buffer.from('bi,bi->b').toString('base64')
    const right = packTfjsModel(JSON.parse(new TextDecoder().decode(model).replace('YmksYmstPmJr', equation)) as object)
    const runtime = createTfjsRuntime({ providers: ['wasm', 'cpu'] })
    const error: unknown = await runtime.load(right).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', data: { provider: 'wasm' } })
    expect((error as Error).message).toContain("Kernel 'Einsum' not registered")
    expect(runtime.flags.providers).toEqual(['wasm', 'cpu'])
    const told: Fallback[] = []
    const session = await runtime.load(right, { fallback: { to: ['cpu'], onFallback: (step) => void told.push(step) } })
    expect(session).toMatchObject({ provider: 'cpu', fallbacks: told })
    expect(told).toMatchObject([{ from: 'wasm', to: 'cpu', error: { code: 'PROVIDER_UNAVAILABLE' } }])
    expect((await session.run({ x: floats([2, 3], [1, 2, 3, 4, 5, 6]) }))['y']).toEqual(floats([2], [14, 77]))
    await session.dispose()
  })
})
