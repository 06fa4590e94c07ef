import { encodeTensors, type Manifest } from '@tideway/core'
import { createTfjsRuntime } from '@tideway/runtime-tfjs'
import { expect, it } from 'vitest'
import { MapCloud, row, startEdge, temporary, untilActive } from './edge.fixture.js'
import { doubling } from './tfjs.fixture.js'

it('a device takes the variant of its runtime’s format: the same version as ONNX here and TensorFlow.js there', async () => {
  const cloud = new MapCloud()
  // Its ONNX variant answers threefold, so that the answer says which one it is of.
  const plain = cloud.chunks.get(cloud.publish({ factor: 3 }))!
  const { variants: onnx } = JSON.parse(new TextDecoder().decode(plain)) as Manifest
  const { model, inputs, outputs } = doubling()
  const known = cloud.blob(encodeTensors({ inputs, outputs }))
  const tfjs: Manifest['variants'][number] = {
    id: 'tfjs-fp32',
    format: 'tfjs',
    precision: 'fp32',
    requires: [],
    files: [{ ...cloud.blob(model, 256), path: 'model.json' }],
    knownAnswers: { ...known, rows: 1, tolerance: 1e-6 },
  }
  const version = cloud.publish({ factor: 3, extra: { variants: [...onnx, tfjs] } })
  cloud.deploy(1, { m: { version: 1, manifestDigest: version } })
  for (const [options, variant, factor] of [
    [{}, 'fp32', 3],
    [{ runtime: createTfjsRuntime({ providers: ['wasm'] }) }, 'tfjs-fp32', 2],
  ] as const) {
    const edge = await startEdge(cloud, await temporary(), options)
    await untilActive(edge, version)
    expect(edge.status().models['m']?.variant).toBe(variant)
    expect((await edge.infer(row(3, 5)))['y']?.data).toEqual(Float32Array.of(3 * factor, 5 * factor))
  }
})
