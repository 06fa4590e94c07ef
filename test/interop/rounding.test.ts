import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { differentiate, floats, GraphBuilder, LEARNED_QUANTIZE, type Value, writeModel } from '@tideway/onnx'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'

/** Python with the PyPI package `torch`. */
const python = process.env.TIDEWAY_PYTHON ?? 'python3'
const script = fileURLToPath(new URL('./rounding.py', import.meta.url))

const LEVELS = 3
const WIDTH = 64
const scales = [0.25, 0.4, 1.5]
/** Steps between -5 and 5, none near a half, where division and multiplication by the reciprocal may part. */
const stepsAt = (row: number, column: number): number => (column * 10) / WIDTH - 5 + 0.03 + row / 100
const x = scales.map((scale, row) => Array.from({ length: WIDTH }, (_, at) => stepsAt(row, at) * scale))
const weights = scales.map((_, row) => Array.from({ length: WIDTH }, (_, at) => Math.sin(row * 7 + at)))

interface Told {
  readonly y: number[][]
  readonly dx: number[][]
  readonly ds: number[]
}

async function ours(): Promise<{ y: number[]; dx: number[]; ds: number[] }> {
  const g = new GraphBuilder('rounding')
  const shape = [scales.length, WIDTH]
  const [values, scale] = [g.input('x', 'float32', shape), g.input('scale', 'float32', [scales.length, 1])]
  const y = g.op(LEARNED_QUANTIZE, [values, scale], { levels: BigInt(LEVELS) })
  const weighed = g.op('Mul', [y, g.constant(floats('float32', weights.flat(), shape))])
  const [dx, ds] = differentiate(g, g.op('ReduceSum', [weighed], { keepdims: 0n }), [values, scale]) as [Value, Value]
  for (const [name, value] of Object.entries({ y, dx, ds })) g.output(name, value)
  const session = await InferenceSession.create(writeModel(g.build()))
  const out = await session.run({
    x: new Tensor('float32', Float32Array.from(x.flat()), shape),
    scale: new Tensor('float32', Float32Array.from(scales), [scales.length, 1]),
  })
  await session.release()
  const list = (name: string): number[] => Array.from(out[name]?.data as Float32Array)
  return { y: list('y'), dx: list('dx'), ds: list('ds') }
}

describe('learned step sizes', () => {
  it('have the gradients that PyTorch computes', async (context) => {
    const input = JSON.stringify({ x, scale: scales, weights, levels: LEVELS })
    const { stdout, stderr, error } = spawnSync(python, [script], { input, encoding: 'utf8' })
    if (error !== undefined || /ModuleNotFoundError/.test(stderr))
      return context.skip(`not run: \`pip install torch\` for ${python}, named by TIDEWAY_PYTHON`)
    const { composed, kernel } = JSON.parse(stdout) as Record<'composed' | 'kernel', Told>
    const { y, dx, ds } = await ours()
    // Some sixty numbers of about 1 in float32, summed in another order.
    for (const [row, value] of composed.ds.entries()) expect(Math.abs((ds[row] ?? 0) - value)).toBeLessThan(1e-4)
    for (const [at, value] of composed.dx.flat().entries()) expect(dx[at]).toBeCloseTo(value, 6)
    for (const told of [composed, kernel])
      for (const [at, value] of told.y.flat().entries()) expect(y[at]).toBeCloseTo(value, 5)
    // Its kernel cuts off what is rounded beyond the levels, the paper what lies beyond them: half a step later.
    let difference = 0
    for (const [row, scale] of scales.entries())
      for (const [column, weight] of (weights[row] ?? []).entries()) {
        const steps = Math.abs(stepsAt(row, column))
        const isBetween = steps > LEVELS && steps < LEVELS + 0.5
        const slope = kernel.dx[row]?.[column] ?? 0
        expect(slope).toBeCloseTo(isBetween ? weight : (dx[row * WIDTH + column] ?? 0), 6)
        if (isBetween) difference += 1
        expect(scale).toBeGreaterThan(0)
      }
    expect(difference).toBeGreaterThan(0)
    for (const [row, value] of kernel.ds.entries()) {
      const moved = (weights[row] ?? []).reduce((sum, weight, column) => {
        const steps = stepsAt(row, column)
        const isBetween = Math.abs(steps) > LEVELS && Math.abs(steps) < LEVELS + 0.5
        return isBetween ? sum - weight * steps : sum
      }, 0)
      expect(Math.abs((ds[row] ?? 0) + moved - value)).toBeLessThan(1e-4)
    }
  })
})
