import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { trainableOf } from '../layers/index.js'
import { distance, run } from '../layers/run.fixture.js'
import { fromKeras } from './index.js'

interface Recorded {
  readonly name: string
  readonly model: unknown
  readonly weights: readonly { readonly name: string; readonly shape: number[]; readonly data: number[] }[]
  readonly rows: number[]
  readonly shape: number[]
  readonly output: number[]
}

/** Models with weights, rows and outputs, written by Keras itself (models.fixture.py). */
const RECORDED = readFileSync(new URL('./models.fixture.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded)

it.each(RECORDED.map((recorded) => [recorded.name, recorded] as const))(
  "a model of Keras 3 gives Keras's output: %s",
  async (_, { model, weights, rows, shape, output }) => {
    const named = weights.map(({ data, ...weight }) => ({ ...weight, data: Float32Array.from(data) }))
    const loaded = fromKeras(model, named)
    const found = await run(trainableOf(loaded.network), loaded.weights, { batch: 2, data: Float32Array.from(rows) })
    expect(found.shape).toEqual(shape)
    // float32 in both, over a dozen layers; sums are taken in another order.
    expect(distance(found.output, output)).toBeLessThan(1e-5)
  },
)
