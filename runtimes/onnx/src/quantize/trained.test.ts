import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { graphOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { valueInfo } from '../format/signature.js'
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

const same = (data: ArrayLike<unknown>, wanted: ArrayLike<number>): boolean =>
  data.length === wanted.length && Array.from(data, Number).every((value, at) => value === wanted[at])

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

  /** Coarser than what the weights say, so that some of them are cut off. */
  const scales = { w1: Array.from({ length: 16 }, (_, at) => Math.fround(0.1 + at / 100)), w2: [0.2, 0.25, 0.3, 0.35] }
  const coarse = { weightBits: 3, ranges, scales: { ...scales, w2: scales.w2.map(Math.fround) } }

  it('has the scales of weights that are written in the file, and integers by them', async () => {
    const model = readModel(bytes)
    writeRounding(model, coarse)
    const written = writeModel(model)
    expect(takeRounding(readModel(written))).toEqual(coarse)
    const own = await createInt8Quantizer().quantize(written, rows, runtime, precision)
    const asked = await createInt8Quantizer(coarse).quantize(bytes, rows, runtime, precision)
    expect(Buffer.compare(own.onnx, asked.onnx)).toBe(0)
    const stored = graphOf(readModel(own.onnx)).initializer.map(toTensor)
    const w1 = toTensor(graphOf(readModel(bytes)).initializer.find(({ name }) => name === 'w1') as never)
    const wanted = Array.from(w1.data as Float32Array, (value, at) =>
      Math.max(-3, Math.min(3, Math.round(value / (scales.w1[at % 16] ?? 1)))),
    )
    expect(stored.some(({ dtype, data }) => dtype === 'int8' && same(data, wanted))).toBe(true)
    expect(stored.some(({ dtype, data }) => dtype === 'float32' && same(data, scales.w1))).toBe(true)
  })

  it.each([
    ['another number of bits is asked for', { weightBits: 4 }, coarse],
    ['weights are equalized', { equalize: true }, coarse],
    ['they are not as many as the channels', {}, { ...coarse, scales: { w1: [0.1], w2: [0.1, 0.1] } }],
    ['one of them is no scale', {}, { ...coarse, scales: { w1: scales.w1.with(3, 0), w2: scales.w2.with(0, -1) } }],
    // Two weights of 127 beside each other saturate 16 bits.
    [
      '8 bits could saturate',
      {},
      { weightBits: 8, ranges, scales: { w1: Array(16).fill(1e-4), w2: Array(4).fill(1e-4) } },
    ],
  ])('has those that follow from the weights where %s', async (_name, options, rounding) => {
    const [all, none] = [rounding, { ...rounding, scales: {} }].map((given) => {
      const model = readModel(bytes)
      writeRounding(model, given)
      return createInt8Quantizer(options).quantize(writeModel(model), rows, runtime, precision)
    })
    expect(Buffer.compare((await all)?.onnx ?? Buffer.of(), (await none)?.onnx ?? Buffer.of())).toBe(0)
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

  it('says which layers were normalized, and what the rows make of them', async () => {
    const g = new GraphBuilder('normalized')
    const x = g.input('x', 'float32', [null, 2, 5, 4])
    const store = (name: string, shape: number[], data: Float32Array) =>
      g.initializer(name, { dtype: 'float32', shape, data })
    const vector = (name: string, ...data: number[]) => store(name, [3], Float32Array.from(data))
    const z = g.op('Conv', [x, store('w', [3, 2, 3, 3], numbers(54, 1))])
    const parts = [
      vector('gamma', 1, -2, 0.5),
      vector('beta', 0, 1, 2),
      vector('mean', 0.1, 0.2, 0.3),
      vector('var', 4, 5, 6),
    ]
    const y = g.op('Relu', [g.op('BatchNormalization', [z, ...parts], {}, { name: 'y' })])
    const plain = g.op(
      'Conv',
      [y, store('w2', [2, 3, 1, 1], numbers(6, 1)), store('b2', [2], numbers(2, 1))],
      {},
      { name: 'z' },
    )
    g.output('z', plain)
    const given = { x: { dtype: 'float32', shape: [300, 2, 5, 4], data: numbers(300 * 40, 2) } } as const
    const { normalized, onnx } = await awareModel(writeModel(g.build()), given, runtime)
    expect(normalized.map(({ output }) => output)).toEqual(['y'])
    const [{ weight, bias, mean, variance } = { weight: '', bias: '', mean: [], variance: [] }] = normalized
    const cleaned = readModel(onnx)
    expect(graphOf(cleaned).initializer.map(({ name }) => name)).toEqual(expect.arrayContaining([weight, bias]))
    const graph = graphOf(cleaned)
    graph.output = [valueInfo({ name: 'y', dtype: 'float32', shape: [null, 3, 3, 2] })]
    const session = await runtime.load(writeModel({ ...cleaned, graph }))
    const picked = Float32Array.from(
      { length: 256 * 40 },
      (_, at) => given.x.data[Math.floor((Math.floor(at / 40) * 300) / 256) * 40 + (at % 40)] ?? 0,
    )
    const { y: results } = await session.run({ x: { dtype: 'float32', shape: [256, 2, 5, 4], data: picked } })
    await session.dispose()
    for (let channel = 0; channel < 3; channel++) {
      const own = Array.from(results?.data as Float32Array).filter((_, at) => Math.floor(at / 6) % 3 === channel)
      const average = own.reduce((sum, value) => sum + value, 0) / own.length
      expect(mean[channel]).toBeCloseTo(average, 5)
      expect(variance[channel]).toBeCloseTo(own.reduce((sum, v) => sum + (v - average) ** 2, 0) / own.length, 5)
    }
  })

  it('is refused for a file that is int8 already', async () => {
    const { onnx } = await createInt8Quantizer().quantize(bytes, rows, runtime, precision)
    await expect(awareModel(onnx, rows, runtime)).rejects.toMatchObject({ code: 'MODEL_ALREADY_QUANTIZED' })
  })
})
