import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { describe, expect, it } from 'vitest'
import { graphOf } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { signatureOf } from '../../format/signature.js'
import { normal, runOnce, uniform } from '../models.fixture.js'
import { viewOf } from '../view.js'
import { gramOf, withGram } from './gram.js'
import { momentsOf } from './moments.js'
import { Network } from './networks.fixture.js'
import { planOf } from './plan.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })

describe('moments of what weights are multiplied with', () => {
  it('are products of columns, alike in the runtime and in a loop', async () => {
    const x = normal(50 * 60, 1, uniform(2))
    const wanted = gramOf(x, 60)
    let direct = 0
    for (let row = 0; row < 50; row++) direct += (x[row * 60 + 3] ?? 0) * (x[row * 60 + 8] ?? 0)
    expect(wanted[3 * 60 + 8]).toBeCloseTo(direct, 9)
    expect(wanted[8 * 60 + 3]).toBeCloseTo(direct, 9)
    const actual = await withGram(runtime, (gram) => gram(x, 60))
    for (let i = 0; i < wanted.length; i++) expect(actual[i]).toBeCloseTo(wanted[i] ?? NaN, 3)
  })

  it.each<[string, number[], number[], Parameters<Network['op']>[2]]>([
    [
      'a strided one with padding on one side',
      [1, 3, 7, 6],
      [4, 3, 3, 2],
      { strides: [2n, 1n], pads: [1n, 0n, 2n, 1n] },
    ],
    ['a dilated one', [1, 2, 9, 9], [3, 2, 3, 3], { dilations: [2n, 3n] }],
    ['SAME_UPPER', [1, 2, 7, 7], [3, 2, 4, 3], { auto_pad: 'SAME_UPPER', strides: [2n, 2n] }],
    ['SAME_LOWER', [1, 2, 7, 7], [3, 2, 4, 3], { auto_pad: 'SAME_LOWER', strides: [2n, 2n] }],
    ['a grouped one', [1, 4, 5, 5], [6, 2, 3, 3], { group: 2n }],
    ['a 1-D one', [1, 3, 11], [4, 3, 4], { strides: [3n] }],
  ])('tell the mean square of every output of a convolution: %s', async (_, shape, weights, attributes) => {
    const g = new Network(shape, 5)
    // Without a bias, an output is the product of the weights with a patch: its mean square is w · E[x xᵀ] · w.
    const w = g.weights(weights)
    g.op('Conv', ['x', w], attributes, 'y')
    const read = readModel(g.bytes(shape.map(() => null)))
    const model = { ...read, graph: graphOf(read) }
    const x = g.rows(6)
    const plan = planOf(viewOf(model.graph))
    const all = await momentsOf(model, plan, signatureOf(model), { x }, runtime, () => false)
    const [found] = all.values()
    const y = await runOnce(runtime, g.bytes(shape.map(() => null)), { x })
    const [channels = 0] = weights
    const inner = weights.slice(1).reduce((a, b) => a * b, 1)
    const places = y.length / 6 / channels
    const real = g.constants[w]?.data as Float32Array
    for (let c = 0; c < channels; c++) {
      const moment = found?.moments[found.groupOf(c)] ?? new Float64Array(0)
      let quadratic = 0
      let trace = 0
      for (let i = 0; i < inner; i++) {
        trace += moment[i * inner + i] ?? 0
        for (let j = 0; j < inner; j++)
          quadratic += (real[c * inner + i] ?? 0) * (moment[i * inner + j] ?? 0) * (real[c * inner + j] ?? 0)
      }
      // Without what was put on the diagonal: a hundredth of its mean.
      const ridge = (0.01 * (trace / 1.01)) / inner
      const norm = real.subarray(c * inner, (c + 1) * inner).reduce((sum, value) => sum + value * value, 0)
      let square = 0
      for (let n = 0; n < 6; n++)
        for (let at = 0; at < places; at++) square += (y[(n * channels + c) * places + at] ?? 0) ** 2 / (6 * places)
      expect(quadratic - ridge * norm).toBeCloseTo(square, 4)
    }
  })
})
