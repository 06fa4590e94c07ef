import * as tf from '@tensorflow/tfjs-core'
import { hostileBodies } from '@tideway/test/support/hostile'
import { describe, expect, it } from 'vitest'
import { graph, graphSubject, layersSubject } from '../models.fixture.js'
import { createTfjsRuntime } from '../runtime.js'
import { packTfjsModel } from './pack.js'
import { readModelFile } from './read.js'

const runtime = createTfjsRuntime({ providers: ['cpu'] })
const codeAndReason = async (promise: Promise<unknown>): Promise<[string, string]> => {
  const error = (await promise.then(
    () => expect.unreachable('it was taken'),
    (thrown: unknown) => thrown,
  )) as { code: string; message: string }
  return [error.code, error.message]
}
const load = (value: unknown) =>
  codeAndReason(runtime.load(new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value))))
const parsed = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>

describe('the one file of a model', () => {
  it('is a model.json that TensorFlow.js itself loads', async () => {
    const { model } = graphSubject()
    const [group] = parsed(model)['weightsManifest'] as tf.io.WeightsManifestConfig
    expect(group!.paths).toEqual([expect.stringMatching(/^data:application\/octet-stream;base64,[A-Za-z0-9+/]+=*$/)])
    const fetchFunc = async (url: string) => (url.startsWith('data:') ? await fetch(url) : Response.json(parsed(model)))
    const loader = tf.io.http('http://models.example/model.json', {
      fetchFunc: fetchFunc as unknown as typeof fetch,
      weightUrlConverter: async (path) => path,
    })
    const { weightData, weightSpecs } = await loader.load!()
    expect(weightSpecs).toEqual(graph.modelJson.weightsManifest[0].weights)
    expect(new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData))).toEqual(graph.shards['w.bin'])
  })

  it('keeps what the model.json says, joins shards that cut a weight in two, and packs again as it is', () => {
    const bytes = graph.shards['w.bin']
    const [manifest] = graph.modelJson.weightsManifest
    const cut = { ...graph.modelJson, generatedBy: 'x', weightsManifest: [{ ...manifest, paths: ['1', '2', '3'] }] }
    const shards = { 1: bytes.subarray(0, 5), 2: bytes.subarray(5, 30), 3: bytes.subarray(30) }
    const file = packTfjsModel(new TextEncoder().encode(JSON.stringify(cut)), shards)
    expect(parsed(file)).toMatchObject({ generatedBy: 'x', signature: graph.modelJson.signature })
    expect(readModelFile(file).weights).toEqual(bytes)
    expect(packTfjsModel(file)).toEqual(file)
  })

  it('is not made of shards that are missing, of a wrong size or not asked for: each is named', () => {
    const weights = [{ name: 'a', shape: [2], dtype: 'float32' }]
    const modelJson = {
      modelTopology: {},
      weightsManifest: [
        { paths: ['short'], weights },
        { paths: ['long', 'end'], weights: [{ ...weights[0]!, name: 'b' }] },
        { paths: ['gone', 'constructor'], weights: [{ ...weights[0]!, name: 'c' }] },
        { paths: ['texts'], weights: [{ name: 'd', shape: [2], dtype: 'string' }] },
      ],
    }
    const shards = {
      short: new Uint8Array(7),
      long: new Uint8Array(8),
      end: new Uint8Array(1),
      other: new Uint8Array(1),
      // The second text says that it has 5 bytes, and has one.
      texts: Uint8Array.of(1, 0, 0, 0, 65, 5, 0, 0, 0, 65),
    }
    expect(() => packTfjsModel(modelJson, shards)).toThrowError(
      expect.objectContaining({
        code: 'TFJS_SHARDS_INVALID',
        data: {
          issues: [
            expect.stringMatching(/^weightsManifest.0 \(short\): has 7 bytes, which end in weight 0 of 1, "a"/),
            expect.stringMatching(/^weightsManifest.1 \(long, end\): has 9 bytes, its weights need 8/),
            expect.stringMatching(/^weightsManifest.2.paths.0: "gone" is missing/),
            expect.stringMatching(/^weightsManifest.2.paths.1: "constructor" is missing/),
            expect.stringMatching(/^weightsManifest.3 \(texts\): has 10 bytes, which end in weight 0/),
            expect.stringMatching(/^"other": weightsManifest does not name it/),
          ],
        },
      }),
    )
  })

  it('is refused with every bad field named', async () => {
    const weight = { name: 'w', shape: [1], dtype: 'float32' }
    const [code, reason] = await load({
      format: 'saved-model',
      modelTopology: [],
      weightsManifest: [
        { paths: 'w.bin', weights: [weight, { ...weight, shape: [-1] }, { name: '', shape: 3, dtype: 'float64' }] },
        'group',
        {
          paths: [],
          weights: [
            { ...weight, name: 'x', quantization: { dtype: 'int4' } },
            { ...weight, name: 'y', quantization: { dtype: 'uint8', scale: 'big' } },
            { ...weight, name: 'z', dtype: 'int32', quantization: { dtype: 'float16' } },
            { ...weight, name: '__proto__', shape: [2 ** 40, 2 ** 40] },
          ],
        },
      ],
    })
    expect(code).toBe('MODEL_INVALID')
    for (const field of [
      'modelTopology: ',
      'format: "saved-model"',
      'weightsManifest.0.paths: ',
      'weightsManifest.0.weights.1.name: "w" is there twice',
      'weightsManifest.0.weights.1.shape: ',
      'weightsManifest.0.weights.2.name: ',
      'weightsManifest.0.weights.2.shape: ',
      'weightsManifest.0.weights.2.dtype: "float64"',
      'weightsManifest.1: ',
      'weightsManifest.2.weights.0.quantization.dtype: "int4"',
      'weightsManifest.2.weights.1.quantization.scale: ',
      'weightsManifest.2.weights.1.quantization.min: ',
      'weightsManifest.2.weights.2.quantization.dtype: ',
      'weightsManifest.2.weights.3.name: ',
      'weightsManifest.2.weights.3.shape: is too large',
    ])
      expect(reason).toContain(field)
  })

  it('is refused when its weights are beside it, not base64, or of another size', async () => {
    const manifest = (path: string) => ({
      ...graph.modelJson,
      weightsManifest: [{ ...graph.modelJson.weightsManifest[0], paths: [path] }],
    })
    const prefix = 'data:application/octet-stream;base64,'
    for (const [path, reason] of [
      ['w.bin', '"w.bin" is a file beside it; make one file of both with packTfjsModel'],
      [`${prefix}AAA`, 'weightsManifest.0.paths.0: is not base64'],
      [`${prefix}AA=A`, 'is not base64'],
      [`${prefix}AA!AAAAA`, 'is not base64'],
      [`${prefix}AAAA`, 'weightsManifest.0: has 3 bytes, which end in weight 0 of 2, "w"'],
      ['https://example.org/w.bin', 'is a file beside it'],
    ] as const) {
      const [code, message] = await load(manifest(path))
      expect([code, message]).toEqual(['MODEL_INVALID', expect.stringContaining(reason)])
    }
    expect(() => readModelFile(new Uint8Array(11), 10)).toThrowError(expect.objectContaining({ code: 'TOO_LARGE' }))
  })

  it.each(Object.entries(hostileBodies))('that is %s is no model', async (_, body) => {
    expect((await codeAndReason(runtime.load(body)))[0]).toBe('MODEL_INVALID')
  })

  it('of a hostile topology is no model, and leaves no tensor behind', async () => {
    await runtime.load(graphSubject().model).then((session) => session.dispose())
    const layers = (config: object, className = 'Dense') => ({
      format: 'layers-model',
      weightsManifest: [],
      modelTopology: { class_name: 'Sequential', config: { layers: [{ class_name: className, config }] } },
    })
    const flatten = (name: string, ...inbound: unknown[]) => {
      return { name, class_name: 'Flatten', config: { name }, inbound_nodes: [inbound] }
    }
    const functional = (a: unknown[], b: unknown[]) => ({
      format: 'layers-model',
      weightsManifest: [],
      modelTopology: {
        class_name: 'Model',
        config: {
          name: 'm',
          layers: [
            {
              name: 'x',
              class_name: 'InputLayer',
              config: { name: 'x', batch_input_shape: [null, 3] },
              inbound_nodes: [],
            },
            flatten('a', ...a),
            flatten('b', ...b),
          ],
          input_layers: [['x', 0, 0]],
          output_layers: [['b', 0, 0]],
        },
      },
    })
    const x = { name: 'x', op: 'Placeholder', attr: graph.modelJson.modelTopology.node[0].attr }
    const graphOf = (...node: unknown[]) => ({ format: 'graph-model', weightsManifest: [], modelTopology: { node } })
    const deep = `${'{"config":'.repeat(20_000)}{}${'}'.repeat(20_000)}`
    const before = tf.memory().numTensors
    for (const model of [
      layers({ units: 1e9, batch_input_shape: [null, 1e9] }),
      layers({ units: -1, batch_input_shape: [null, 3] }),
      layers({ units: 2 }),
      layers({ units: 2, batch_input_shape: [null, 2 ** 30] }),
      layers({}, 'constructor'),
      layers({}, 'NoSuchLayer'),
      layers({ units: 2, batch_input_shape: 'x', kernel_initializer: { class_name: '__proto__', config: {} } }),
      `{"weightsManifest":[],"modelTopology":${deep}}`,
      { format: 'layers-model', weightsManifest: [], modelTopology: {} },
      functional([['x', 0, 0]], [['gone', 0, 0]]),
      functional([['b', 0, 0]], [['a', 0, 0]]),
      functional([['x', 0, 0]], [['a', 7, 0]]),
      functional([['x', 0, 0]], [7]),
      graphOf(),
      graphOf(null),
      graphOf({ name: 'y', op: 'Relu', input: ['gone'] }),
      graphOf({ name: 'x', op: 'Placeholder' }),
      graphOf(x, { name: 'y', op: 'NoSuchOperation', input: ['x'] }),
      // A circle.
      graphOf(
        x,
        { name: 'a', op: 'AddV2', input: ['x', 'b'] },
        { name: 'b', op: 'Relu', input: ['a'] },
        { name: 'c', op: 'Relu', input: ['b'] },
      ),
      { ...graphOf(x), signature: { inputs: { x: 7 }, outputs: { y: { name: 'gone:0' } } } },
      { ...graphOf(x), signature: { inputs: null, outputs: { y: {} } } },
      { ...graphOf({ ...x, attr: { dtype: { type: 'DT_STRING' }, shape: { shape: { dim: [] } } } }) },
    ]) {
      const [code, reason] = await load(model)
      expect([code, reason]).toEqual(['MODEL_INVALID', expect.stringMatching(/not a usable model: \S/)])
      expect(tf.memory().numTensors, reason).toBe(before)
    }
  })

  it('with any byte changed is refused or runs, and never ends the process', async () => {
    for (const { model, cases } of [graphSubject(), await layersSubject()])
      for (let at = 1; at < model.length; at += 37) {
        const bytes = model.slice()
        bytes[at] = bytes[at]! ^ (1 << (at % 7))
        await runtime.load(bytes).then(
          async (session) => {
            const run = session.run(cases[0]!.inputs as never)
            await run.catch((error: { code?: string }) => expect(error.code).toMatch(/^(INPUT_INVALID|RUN_FAILED)$/))
            await session.dispose()
          },
          (error: { code?: string }) => expect(error.code).toMatch(/^(MODEL_INVALID|PROVIDER_UNAVAILABLE)$/),
        )
      }
  })
})
