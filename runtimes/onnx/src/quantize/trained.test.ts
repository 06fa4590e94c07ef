import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { graphOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { toTensor } from '../format/tensor.js'
import { writeModel } from '../format/write.js'
import { seeded } from '../gradient/gradient.fixture.js'
import { awareModel } from './aware.js'
import { createInt8Quantizer } from './quantizer.js'
import { affineScale, UINT8 } from './reference.js'
import { takeRounding, writeRounding } from './static/trained.js'

const runtime = createOnnxNodeRuntime()
const random = seeded(4)
const numbers = (count: number, scale: number): Float32Array =>
  Float32Array.from({ length: count }, () => (random() * 2 - 1) * scale)

/** Two dense layers with a Relu between them. */
function dense(): Uint8Array {
  const g = new GraphBuilder('dense')
  const x = g.input('x', 'float32', [null, 8])
  const store = (name: string, shape: number[]) =>
    g.initializer(name, {
      dtype: 'float32',
      shape,
      data: numbers(
        shape.reduce((a, b) => a * b, 1),
        1,
      ),
    })
  const hidden = g.op('Relu', [g.op('Gemm', [x, store('w1', [8, 16]), store('b1', [16])])], {}, { name: 'hidden' })
  g.output('y', g.op('Gemm', [hidden, store('w2', [16, 4]), store('b2', [4])], {}, { name: 'y' }))
  return writeModel(g.build())
}

const bytes = dense()
const rows = { x: { dtype: 'float32', shape: [64, 8], data: numbers(512, 2) } } as const
const precision = { precision: 'int8' } as const

/** Every stored float32 scalar: scales of activations. */
const scalesIn = (onnx: Uint8Array): Set<number> =>
  new Set(
    graphOf(readModel(onnx)).initializer.flatMap((tensor) => {
      const { dtype, shape, data } = toTensor(tensor)
      return dtype === 'float32' && shape.length === 0 ? [Number(data[0])] : []
    }),
  )

describe('a model with ranges of its own', () => {
  const ranges = { x: { min: -1.5, max: 1.25 }, hidden: { min: 0, max: 3 } }
  const wanted = Object.values(ranges).map(({ min, max }) => affineScale(min, max, UINT8).scale)

  it('has the scales that the option says, whatever calibration saw', async () => {
    const { onnx, layers } = await createInt8Quantizer({ ranges }).quantize(bytes, rows, runtime, precision)
    expect(scalesIn(onnx)).toEqual(new Set(wanted))
    expect(layers.map(({ input }) => input?.range)).toEqual(['given', 'given'])
  })

  it('has none of what a Relu takes away, whatever is given', async () => {
    const hidden = { ...ranges, hidden: { min: 0, max: 3 } }
    const wide = { ...ranges, hidden: { min: -1, max: 3 } }
    const [one, other] = [hidden, wide].map((given) =>
      createInt8Quantizer({ ranges: given }).quantize(bytes, rows, runtime, precision),
    )
    expect(Buffer.compare((await other)?.onnx ?? Buffer.of(), (await one)?.onnx ?? Buffer.of())).toBe(0)
  })

  it('has those that are written in the file, the same bytes, and does not carry them on', async () => {
    const model = readModel(bytes)
    writeRounding(model, { weightBits: 8, ranges })
    const written = writeModel(model)
    expect(takeRounding(readModel(written))).toEqual({ weightBits: 8, ranges })
    const own = await createInt8Quantizer().quantize(written, rows, runtime, precision)
    const asked = await createInt8Quantizer({ ranges }).quantize(bytes, rows, runtime, precision)
    expect(Buffer.compare(own.onnx, asked.onnx)).toBe(0)
    // Another method that is asked for goes before them.
    const other = await createInt8Quantizer({ ranges: 'minmax' }).quantize(written, rows, runtime, precision)
    expect(scalesIn(other.onnx)).not.toEqual(new Set(wanted))
  })

  it.each([
    '{',
    'null',
    '{"weightBits":8,"ranges":{"x":[0,1e999]}}',
    '{"weightBits":8,"ranges":{"x":[2,1]}}',
    '{"weightBits":99,"ranges":{"x":[0,1]}}',
  ])('is like any other where they cannot be read: %s', (value) => {
    const model = readModel(bytes)
    writeRounding(model, { weightBits: 8, ranges })
    const [entry] = model.metadataProps
    Object.assign(entry ?? {}, { value })
    expect(takeRounding(model)).toBeUndefined()
  })

  it.each([2, 4, 6, 7])('has weights of %i bits where the option says so', async (weightBits) => {
    const { onnx } = await createInt8Quantizer({ weightBits }).quantize(bytes, rows, runtime, precision)
    const integers = graphOf(readModel(onnx)).initializer.flatMap((tensor) => {
      const { dtype, shape, data } = toTensor(tensor)
      return dtype === 'int8' && shape.length === 2 ? Array.from(data as Int8Array) : []
    })
    expect(Math.max(...integers.map(Math.abs))).toBe(2 ** (weightBits - 1) - 1)
  })
})

describe('where a model will be rounded', () => {
  it('is what the quantizer makes integer, with what the rows held', async () => {
    const { tensors, weights, ranges, kept } = await awareModel(bytes, rows, runtime)
    expect(tensors.map(({ name, readers }) => [name, readers?.length])).toEqual([
      ['x', 1],
      ['hidden', undefined],
    ])
    expect(weights).toEqual([
      { name: 'w1', axis: 1 },
      { name: 'w2', axis: 1 },
    ])
    expect(ranges.get('x')).toEqual({ min: Math.min(...rows.x.data), max: Math.max(...rows.x.data) })
    expect(ranges.get('hidden')?.min).toBe(0)
    expect(kept).toEqual([])
  })

  it('is refused for a file that is int8 already', async () => {
    const { onnx } = await createInt8Quantizer().quantize(bytes, rows, runtime, precision)
    await expect(awareModel(onnx, rows, runtime)).rejects.toMatchObject({ code: 'MODEL_ALREADY_QUANTIZED' })
  })
})
