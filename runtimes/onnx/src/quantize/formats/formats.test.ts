import { halfToNumber, numberToHalf, type Tensor } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeNode } from '../../format/node.js'
import { floats, modelOf, normal, uniform } from '../models.fixture.js'
import { dequantize, quantize, UINT8 } from '../reference.js'
import { fromHalf, halfIssue, toHalf } from './half.js'
import { dynamicScale, INT8_WEIGHTS, PRODUCT_FORMS, quantizeChannels, stored } from './integers.js'
import { packNibbles, unpackNibbles } from './nibbles.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })

/** What ONNX Runtime's operator makes of values, an output at a time. */
async function engine(operator: string, x: Tensor, outputs: Readonly<Record<string, Tensor['dtype']>>, to?: bigint) {
  const names = Object.keys(outputs)
  const result: Record<string, Tensor> = {}
  for (const name of names) {
    const shape = name === names[0] ? [null] : []
    const bytes = modelOf({
      input: [{ name: 'x', dtype: x.dtype, shape: [null] }],
      output: { name, dtype: outputs[name] ?? 'float32', shape },
      node: [makeNode(operator, ['x'], names, to === undefined ? {} : { to })],
      constants: {},
    })
    const session = await runtime.load(bytes)
    Object.assign(result, await session.run({ x }))
    await session.dispose()
  }
  return (name: string) => Array.from(result[name]?.data as ArrayLike<number>)
}

const halfTensor = (data: Uint16Array): Tensor => ({ dtype: 'float16', shape: [data.length], data })
const vector = (data: Float32Array): Tensor => floats([data.length], data)

describe('float16', () => {
  const specials = [0, -0, 1, 65_504, 65_519.99, 65_520, -1e6, Infinity, -Infinity, NaN, 2 ** -24, 2 ** -25, 2.99e-8]
  const halves = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 2048 + 1, 2048 + 3, 1.5 * 2 ** -24, 2.5 * 2 ** -24, 1e-45, 6.1e-5]

  it("is rounded as ONNX Runtime's Cast rounds it: halves to even, denormals, overflow, infinities, NaN", async () => {
    const values = Float32Array.from([...specials, ...halves, ...halves.map((value) => -value)])
    const cast = await engine('Cast', vector(values), { y: 'float16' }, 10n)
    expect(Array.from(toHalf(values))).toEqual(cast('y'))
  })

  it('is rounded alike over random bits of float32', async () => {
    const random = uniform(1)
    const bits = Uint32Array.from({ length: 20_000 }, () => random() * 2 ** 32)
    // NaN has many bit patterns, of which engines choose one each.
    const values = new Float32Array(bits.buffer).filter((value) => !Number.isNaN(value))
    // Most of those are beyond float16: as many within its range.
    const near = Float32Array.from({ length: 20_000 }, () => (random() - 0.5) * 2 ** Math.floor(random() * 45 - 27))
    for (const list of [values, near])
      expect(Array.from(toHalf(list))).toEqual((await engine('Cast', vector(list), { y: 'float16' }, 10n))('y'))
  })

  it('comes back exactly from each of its bit patterns, in the engine too', async () => {
    const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits)
    const numbers = fromHalf(all)
    expect((await engine('Cast', halfTensor(all), { y: 'float32' }, 1n))('y')).toEqual(Array.from(numbers))
    const back = toHalf(numbers)
    expect(all.findIndex((bits, i) => !Number.isNaN(numbers[i]) && back[i] !== bits)).toBe(-1)
  })

  it('says what it cannot hold: values beyond 65,504, not finite, or so small that they are lost', () => {
    expect(halfIssue(Float32Array.of(1, -65_504, 2 ** -14))).toBeUndefined()
    expect(halfIssue(new Float32Array(4))).toBeUndefined()
    expect(halfIssue(Float32Array.of(1, 65_505))).toContain('beyond 65504')
    expect(halfIssue(Float32Array.of(1, NaN))).toContain('not finite')
    expect(halfIssue(Float32Array.of(1e-8, -2e-7))).toContain('too small')
    // One lost value next to large ones does not count.
    expect(halfIssue(Float32Array.of(1e-9, 1))).toBeUndefined()
  })

  it("agrees with the definition of one value in core's half", () => {
    fc.assert(
      fc.property(fc.float(), (value) => {
        expect(toHalf(Float32Array.of(value))[0]).toBe(numberToHalf(value))
        expect(fromHalf(Uint16Array.of(numberToHalf(value)))[0]).toBe(halfToNumber(numberToHalf(value)))
      }),
      { numRuns: 200, seed: 1 },
    )
  })
})

describe('4-bit integers', () => {
  it('are packed two a byte, the first in the low half, and an odd one leaves zero behind it', () => {
    expect(Array.from(packNibbles([1, 2, 15, 0, 7]))).toEqual([0x21, 0x0f, 0x07])
    expect(Array.from(packNibbles([-8, 7, -1]))).toEqual([0x78, 0x0f])
    expect(packNibbles([]).length).toBe(0)
  })

  it('come back from any bytes, signed and unsigned', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 15 })), (list) => {
        expect(Array.from(unpackNibbles(packNibbles(list), list.length, false))).toEqual(list)
        const signed = list.map((value) => value - 8)
        expect(Array.from(unpackNibbles(packNibbles(signed), list.length, true))).toEqual(signed)
      }),
      { numRuns: 200, seed: 2 },
    )
  })
})

describe('the scale of a run', () => {
  /** DynamicQuantizeLinear by the reference: integers, scale, zero point. */
  const reference = (values: Float32Array) => {
    const { scale, zeroPoint } = dynamicScale(values)
    return { q: Array.from(values, (x) => quantize(x, { scale, zeroPoint }, UINT8)), s: [scale], z: [zeroPoint] }
  }
  const throughEngine = async (values: Float32Array) => {
    const read = await engine('DynamicQuantizeLinear', vector(values), { q: 'uint8', s: 'float32', z: 'uint8' })
    return { q: read('q'), s: read('s'), z: read('z') }
  }

  it.each([
    ['zeros', [0, -0, 0]],
    ['one value', [2.5, 2.5]],
    ['one negative value', [-2.5, -2.5]],
    ['values above zero', [3, 10, 5]],
    ['values below zero', [-3, -10]],
    ['denormals', [1e-40, 3e-40, 0, -1e-41]],
    ['the edge of denormals', [1.1e-38, -1e-39]],
    ['halves', Array.from({ length: 41 }, (_, i) => (i - 20) / 2).concat(245, -10)],
    ['the largest floats', [3.4e38, 1, -1e30]],
  ])('is what ONNX Runtime takes for %s', async (_, list) => {
    const values = Float32Array.from(list)
    expect(await throughEngine(values)).toEqual(reference(values))
  })

  it('is what ONNX Runtime takes for random values, to the bit', async () => {
    const list = fc.array(fc.float({ noNaN: true, min: -1000, max: 1000 }), { minLength: 1, maxLength: 100 })
    await fc.assert(
      fc.asyncProperty(list, async (items) => {
        const values = Float32Array.from(items)
        expect(await throughEngine(values)).toEqual(reference(values))
      }),
      { numRuns: 40, seed: 3 },
    )
  })

  it('is infinite for infinities and for ranges beyond float32, so that what follows is NaN and seen', async () => {
    for (const list of [
      [Infinity, 1],
      [3.4e38, -3.4e38],
    ]) {
      const values = Float32Array.from(list)
      expect(reference(values).s).toEqual([Infinity])
      expect((await throughEngine(values)).s).toEqual([Infinity])
      const { scale, zeroPoint } = dynamicScale(values)
      expect(dequantize(zeroPoint, { scale, zeroPoint })).toBeNaN()
    }
  })

  it('passes over NaN', () => {
    expect(dynamicScale(Float32Array.of(1, NaN, -1))).toEqual(dynamicScale(Float32Array.of(1, -1)))
  })
})

describe('weights by channel', () => {
  const random = uniform(4)
  const rows = 7
  const values = normal(rows * 50, 1, random)
  for (let i = 0; i < 50; i++) {
    values[i] = 0
    values[50 + i] = 1e-42
    values[100 + i] = -2.5
  }
  const rowOf = (i: number) => Math.floor(i / 50)

  it.each([
    ['8 bits', INT8_WEIGHTS],
    ['7 bits', PRODUCT_FORMS[7].range],
  ])('are within half a step of what they were in %s, zeros and single values exactly', (_, range) => {
    const { integers, scales } = quantizeChannels(values, rows, rowOf, range)
    for (const [i, value] of values.entries()) {
      const scale = scales[rowOf(i)] ?? 0
      const back = (integers[i] ?? NaN) * scale
      expect(Math.abs(back - value)).toBeLessThanOrEqual(scale * 0.5000001)
      expect(Math.abs(integers[i] ?? NaN)).toBeLessThanOrEqual(range.max)
      if (rowOf(i) === 0) expect(back).toBe(0)
      if (rowOf(i) === 2) expect(back).toBeCloseTo(-2.5, 6)
    }
  })

  it('are stored around 128 as uint8, and as they are as int8', () => {
    const integers = Int8Array.of(-127, 0, 127)
    expect(stored(integers, PRODUCT_FORMS[8]).data).toEqual(Uint8Array.of(1, 128, 255))
    expect(stored(integers, PRODUCT_FORMS[7]).data).toEqual(integers)
  })
})
