import { describe, expect, it } from 'vitest'
import { FAKE_QUANTIZE } from '../build/fake-quantize.js'
import { GraphBuilder } from '../build/graph-builder.js'
import { floats, type Value } from '../build/value.js'
import { affineScale, dequantize, quantize, UINT8 } from '../quantize/reference.js'
import { differentiate } from './differentiate.js'
import { evaluate, seeded } from './gradient.fixture.js'

const random = seeded(3)
/** Halves of steps among them, and values on and beyond the ends. */
const { scale, zeroPoint } = affineScale(-1, 2.1875, UINT8)
const ends = [-zeroPoint * scale, (255 - zeroPoint) * scale] as const
const values = Float32Array.from({ length: 256 }, (_, at) =>
  at < 64 ? (at - 32.5) * scale : at === 64 ? ends[0] : at === 65 ? ends[1] : random() * 6 - 3,
)

/** y, and the gradient by x of a loss that weighs each y with `values` reversed. */
async function run(x: Float32Array) {
  const g = new GraphBuilder('fake')
  const input = g.input('x', 'float32', [x.length])
  const number = (value: number): Value => g.constant(floats('float32', [value]))
  const y = g.op(FAKE_QUANTIZE, [input, number(scale), number(ends[0]), number(ends[1])])
  const weights = g.constant({ dtype: 'float32', shape: [x.length], data: weighed })
  const loss = g.op('ReduceSum', [g.op('Mul', [y, weights])], { keepdims: 0n })
  g.output('y', y)
  g.output('dx', differentiate(g, loss, [input])[0] as Value)
  return evaluate(g, { x: { dtype: 'float32', shape: [x.length], data: x } })
}
const weighed = values.toReversed()

describe('FakeQuantize', () => {
  it('gives what QuantizeLinear and DequantizeLinear give, halves to even, the ends held', async () => {
    const { y } = await run(values)
    const wanted = Array.from(values, (x) => dequantize(quantize(x, { scale, zeroPoint }, UINT8), { scale, zeroPoint }))
    for (const [at, value] of wanted.entries()) expect(y?.[at], `${values[at]}`).toBeCloseTo(value, 6)
  })

  it('has the slope that rounding has on average: 1 between the ends and at them, 0 beyond', async () => {
    const { dx } = await run(values)
    for (const [at, x] of values.entries()) {
      const passes = x >= Math.fround(ends[0]) && x <= Math.fround(ends[1])
      expect(dx?.[at], `${x}`).toBe(passes ? weighed[at] : 0)
    }
  })

  it('moves by whole steps: differences over a step are that slope, without any average', async () => {
    const inner = values.map((x) => Math.max(ends[0] + 2 * scale, Math.min(ends[1] - 2 * scale, x)))
    const { y, dx } = await run(inner)
    const { y: above } = await run(inner.map((x) => x + scale))
    for (const [at, value] of (y ?? []).entries()) {
      // A half of a step may be rounded to the other side once x + scale is a float32.
      if (Math.abs((((inner[at] ?? 0) / scale) % 1) - Math.sign(inner[at] ?? 0) * 0.5) < 1e-3) continue
      expect((((above?.[at] ?? 0) - value) / scale) * (weighed[at] ?? 0)).toBeCloseTo(dx?.[at] ?? 0, 3)
    }
  })
})
