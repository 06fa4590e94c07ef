import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { LEARNED_QUANTIZE } from '../build/learned-quantize.js'
import { floats, type Value } from '../build/value.js'
import { differentiate } from './differentiate.js'
import { evaluate, seeded } from './gradient.fixture.js'

const LEVELS = 3
const scales = Float32Array.of(0.25, 0.5, 1)
const random = seeded(5)
/** A row for each scale: halves of steps, the ends and just beyond them, 0, and anything between. */
const steps = [-9, -3.5, -3, -2.5, -1.5, -0.5, -0, 0.5, 1.5, 2.5, 3, 3.25, 3.5, 9]
const width = steps.length + 18
const x = Float32Array.from({ length: width * scales.length }, (_, at) => {
  const [row, column] = [Math.floor(at / width), at % width]
  return (steps[column] ?? random() * 8 - 4) * (scales[row] ?? 1)
})
const weighed = x.map(() => random() * 2 - 1)

/** Rounded values, and the gradients of a loss that weighs each. */
async function run(levels = LEVELS) {
  const g = new GraphBuilder('learned')
  const input = g.input('x', 'float32', [scales.length, width])
  const scale = g.input('scale', 'float32', [scales.length, 1])
  const y = g.op(LEARNED_QUANTIZE, [input, scale], { levels: BigInt(levels) })
  const weights = g.constant({ dtype: 'float32', shape: [scales.length, width], data: weighed })
  const loss = g.op('ReduceSum', [g.op('Mul', [y, weights])], { keepdims: 0n })
  const [dx, ds] = differentiate(g, loss, [input, scale]) as [Value, Value]
  g.output('y', y)
  g.output('dx', dx)
  g.output('ds', ds)
  return evaluate(g, {
    x: { dtype: 'float32', shape: [scales.length, width], data: x },
    scale: { dtype: 'float32', shape: [scales.length, 1], data: scales },
  })
}

/** Equations 1, 3 and 5 of Esser et al. 2020 (arXiv:1902.08153), as they stand there. */
function paper(value: number, scale: number) {
  const v = value / scale
  const rounded = Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v)
  if (v < -LEVELS) return { y: -LEVELS * scale, dx: 0, ds: -LEVELS }
  if (v > LEVELS) return { y: LEVELS * scale, dx: 0, ds: LEVELS }
  return { y: rounded * scale, dx: 1, ds: rounded - v }
}

describe('LearnedQuantize', () => {
  const wanted = Array.from(x, (value, at) => paper(value, scales[Math.floor(at / width)] ?? 1))

  it('rounds to multiples of its scale, halves to even, the ends held', async () => {
    const { y } = await run()
    for (const [at, { y: value }] of wanted.entries()) expect(y?.[at], `${x[at]}`).toBeCloseTo(value, 6)
  })

  it('has the slopes of learned step size quantization: none beyond the ends by x, the level itself by the scale', async () => {
    const { dx, ds } = await run()
    for (const [at, { dx: slope }] of wanted.entries()) expect(dx?.[at], `${x[at]}`).toBeCloseTo(slope * weight(at), 6)
    for (const row of scales.keys()) {
      const own = wanted.map(({ ds: slope }, at) => (Math.floor(at / width) === row ? slope * weight(at) : 0))
      // Sums of 32 numbers up to 3 in float32.
      expect(ds?.[row]).toBeCloseTo(
        own.reduce((sum, slope) => sum + slope, 0),
        4,
      )
    }
  })

  it('is refused without levels, or with a scale of more axes than its input', () => {
    const g = new GraphBuilder('refused')
    const vector = g.input('x', 'float32', [2])
    const one = g.constant(floats('float32', [1]))
    const wide = g.input('wide', 'float32', [1, 2])
    expect(() => g.op(LEARNED_QUANTIZE, [vector, one])).toThrow(/levels/)
    expect(() => g.op(LEARNED_QUANTIZE, [vector, wide], { levels: 3n })).toThrow(/more axes/)
  })
})

const weight = (at: number): number => weighed[at] ?? 0
