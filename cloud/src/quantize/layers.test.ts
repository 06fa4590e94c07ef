import { createQuantizer, graphOf, readModel, toTensor, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { backbone, patterns, SIDE, tableModel } from '@tideway/test/support/backbone'
import { expect, it } from 'vitest'
import { layerErrors } from './layers.js'

const ROWS = 40
const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })
const images = {
  x: {
    dtype: 'float32',
    shape: [ROWS, 1, SIDE, SIDE],
    data: Float32Array.from(patterns(ROWS).pixels, (value) => value / 255),
  },
} as const

/** The model with the values of some initializers multiplied. */
function scaled(bytes: Uint8Array, names: readonly string[], factor: number): Uint8Array {
  const model = readModel(bytes)
  for (const tensor of graphOf(model).initializer) {
    if (!names.includes(tensor.name ?? '')) continue
    const data = Float32Array.from(toTensor(tensor).data as Float32Array, (value) => value * factor)
    tensor.rawData = new Uint8Array(data.buffer)
  }
  return writeModel(model)
}

it('gives a layer whose result is a hundredth too large 40 dB, and a layer before it nothing', async () => {
  const rows = {
    row: { dtype: 'float32', shape: [9, 3], data: Float32Array.from({ length: 27 }, (_, i) => Math.sin(i)) },
  } as const
  const changed = scaled(tableModel(), ['fc.weight', 'fc.bias'], 1.01)
  const [body, fc, ...others] = await layerErrors(tableModel(), changed, rows, runtime)
  expect(others).toEqual([])
  expect(body).toMatchObject({ operator: 'Gemm', weights: 72, outputSnrDb: null })
  expect(fc).toMatchObject({ operator: 'Gemm', weights: 96, outputSnrDb: 40 })
})

it.each([
  ['fp16', 50],
  ['int8-weights', 30],
  ['int4-weights', 10],
] as const)('finds the layers of %s, whatever form their values have there', async (scheme, least) => {
  const { onnx } = await createQuantizer().quantize(backbone(), {}, runtime, { scheme, rest: 'int8-weights' } as never)
  const layers = await layerErrors(backbone(), onnx, images, runtime)
  expect(layers.map(({ operator }) => operator)).toEqual(['Conv', 'Gemm'])
  const dense = layers[1]!.outputSnrDb!
  expect(dense).toBeGreaterThan(least)
  expect(dense).toBeLessThan(least + 40)
})
