import { create } from '@bufbuild/protobuf'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { linearOf } from '../../cleanup/linear.js'
import { graphOf } from '../../format/node.js'
import { readModel } from '../../format/read.js'
import { signatureOf } from '../../format/signature.js'
import { writeModel } from '../../format/write.js'
import { ValueInfoSchema } from '../../generated/onnx_pb.js'
import { floats, normal, runOnce, uniform } from '../models.fixture.js'
import { createInt8Quantizer } from '../quantizer.js'
import { viewOf } from '../view.js'
import { attempt } from './attempt.js'
import { equalized, pairsOf, peaksOf } from './equalize.js'
import { NETWORKS, Network } from './networks.fixture.js'
import { DEFAULT_INT8_OPTIONS, type ResolvedInt8Options } from './options.js'
import { planOf } from './plan.js'
import { roundToMoments } from './round.js'
import { runRows, using, withOutputs } from './rows.js'
import { canSaturate, quantizeWeights } from './weights.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })

const wholeOf = (bytes: Uint8Array) => {
  const model = readModel(bytes)
  return { ...model, graph: graphOf(model) }
}

/** The error of a network's outputs, relative to how much they vary, with some choices. */
async function errorOf(g: Network, choices: Partial<ResolvedInt8Options>): Promise<number> {
  const model = wholeOf(g.bytes())
  const plain = {
    ...DEFAULT_INT8_OPTIONS,
    ranges: 'mse',
    equalize: false,
    rounding: 'nearest',
    correctBias: false,
  } as const
  const options: ResolvedInt8Options = { ...plain, ...choices }
  return (await attempt({ model, signature: signatureOf(model), rows: { x: g.rows(96) }, runtime, options }, new Map()))
    .error
}

const deep = (): Network => (NETWORKS['depthwise and pointwise convolutions'] as () => Network)()

/** Channels between two layers that differ by a factor of up to a thousand. */
function uneven(): Network {
  const g = new Network([1, 4, 6, 6], 21)
  const first = g.weights([8, 4, 3, 3])
  const values = g.constants[first]?.data as Float32Array
  for (let i = 0; i < values.length; i++) values[i] = (values[i] ?? 0) * 10 ** (Math.floor(i / 36) / 2 - 2)
  const bias = g.weights([8])
  const shifts = g.constants[bias]?.data as Float32Array
  for (let c = 0; c < 8; c++) shifts[c] = (shifts[c] ?? 0) * 10 ** (c / 2 - 2)
  const a = g.op('Relu', [g.op('Conv', ['x', first, bias])])
  const second = g.weights([6, 8, 3, 3])
  const columns = g.constants[second]?.data as Float32Array
  for (let i = 0; i < columns.length; i++) columns[i] = (columns[i] ?? 0) * 10 ** (2 - (Math.floor(i / 9) % 8) / 2)
  const b = g.op('Relu', [g.op('Conv', [a, second, g.weights([6])])])
  g.dense(g.op('Flatten', [b]), 24, 4, 'y')
  return g
}

describe('choices by the error in the outputs', () => {
  it('ranges chosen for each tensor are no worse than those of any one method', async () => {
    const auto = await errorOf(deep(), { ranges: 'auto' })
    expect(auto).toBeLessThanOrEqual(await errorOf(deep(), { ranges: 'mse' }))
    expect(auto).toBeGreaterThan(0)
  })

  it('rounding a layer together leaves less error than rounding each weight to nearest', async () => {
    expect(await errorOf(deep(), { rounding: 'layer' })).toBeLessThan(await errorOf(deep(), { rounding: 'nearest' }))
  })

  it('corrected biases do not make it worse', async () => {
    const nearest = await errorOf(deep(), { correctBias: false })
    expect(await errorOf(deep(), { correctBias: true })).toBeLessThanOrEqual(nearest)
  })

  it('equalizing helps a network whose channels differ much, and `auto` sees it', async () => {
    const [plain, even, auto] = [
      await errorOf(uneven(), { equalize: false }),
      await errorOf(uneven(), { equalize: true }),
      await errorOf(uneven(), { equalize: 'auto' }),
    ]
    expect(even).toBeLessThan(0.5 * plain)
    expect(auto).toBe(even)
  })
})

describe('cross-layer equalization', () => {
  it('leaves what the network computes as it is, and evens out its channels', async () => {
    for (const g of [uneven(), deep()]) {
      const model = wholeOf(g.bytes())
      const view = viewOf(model.graph)
      const pairs = pairsOf(planOf(view), view)
      expect(pairs.length).toBeGreaterThan(0)
      const x = g.rows(16)
      const between = [...new Set(pairs.map((pair) => pair.between))]
      const peaks = (bytes: Uint8Array) =>
        using(runtime, withOutputs(wholeOf(bytes), between), (session) =>
          peaksOf(pairs, runRows(session, signatureOf(model), { x })),
        )
      const bytes = writeModel(model)
      const before = await peaks(bytes)
      const even = writeModel({ ...model, graph: equalized(model.graph, pairs, before) })
      const [actual, wanted] = [await runOnce(runtime, even, { x }), await runOnce(runtime, bytes, { x })]
      const most = wanted.reduce((peak, value) => Math.max(peak, Math.abs(value)), 0)
      for (const [i, value] of wanted.entries()) expect(Math.abs(value - (actual[i] ?? NaN))).toBeLessThan(1e-4 * most)
      if (g.shape[2] !== 6) continue
      const ratio = (values: Float64Array | undefined): number => {
        const some = [...(values ?? [])].filter((value) => value > 0)
        return Math.max(...some) / Math.min(...some)
      }
      const after = await peaks(even)
      expect(ratio(after.get(between[0] ?? ''))).toBeLessThan(0.2 * ratio(before.get(between[0] ?? '')))
    }
  })

  it('leaves layers alone that something else reads, or whose activation has a top', () => {
    const g = new Network([1, 4, 6, 6])
    const [zero, one] = [0, 1].map((value) => g.op('Constant', [], { value: floats([], [value]) }))
    const a = g.op('Clip', [g.conv('x', [4, 4, 1, 1]), zero ?? '', one ?? ''])
    const b = g.conv(a, [4, 4, 1, 1])
    g.dense(g.op('Flatten', [g.conv(g.op('Add', [b, g.conv(b, [4, 4, 1, 1])]), [4, 4, 1, 1])]), 144, 2, 'y')
    const view = viewOf(wholeOf(g.bytes()).graph)
    expect(pairsOf(planOf(view), view)).toEqual([])
  })

  it('leaves weights alone that are an output of the graph', async () => {
    const { graph } = wholeOf(uneven().bytes())
    const view = viewOf(graph)
    const pairs = pairsOf(planOf(view), view)
    const shown = pairs.map(({ first }) => create(ValueInfoSchema, { name: first.linear?.node.input[1] ?? '' }))
    const peaks = new Map(
      pairs.map(({ between, first }) => [
        between,
        Float64Array.from({ length: first.linear?.outputs ?? 0 }, (_, c) => c + 1),
      ]),
    )
    const bytesOf = (some: typeof graph) => some.initializer.map(({ rawData }) => rawData)
    expect(bytesOf(equalized(graph, pairs, peaks))).not.toEqual(bytesOf(graph))
    const open = { ...graph, output: [...graph.output, ...shown] }
    expect(bytesOf(equalized(open, pairs, peaks))).toEqual(bytesOf(graph))
  })
})

describe('rounding a layer together', () => {
  it('is never worse on the moments than nearest, stays between the neighbours, and cannot saturate', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), (seed) => {
        const g = new Network([1, 12], seed)
        g.dense('x', 12, 5, 'y')
        const layer = linearOf('y', viewOf(wholeOf(g.bytes()).graph))
        if (layer === undefined) throw new Error('the network has one layer')
        const nearest = quantizeWeights(layer, 0.01)
        // Moments of rows whose values depend on one another.
        const mix = normal(144, 1, uniform(seed))
        const moment = new Float64Array(144)
        for (let i = 0; i < 12; i++)
          for (let j = 0; j < 12; j++)
            for (let k = 0; k < 12; k++)
              moment[i * 12 + j] = (moment[i * 12 + j] ?? 0) + (mix[i * 12 + k] ?? 0) * (mix[j * 12 + k] ?? 0)
        const { weight } = roundToMoments(layer, nearest, [moment], () => 0)
        const cost = (integers: Int8Array): number => {
          let sum = 0
          for (let c = 0; c < 5; c++) {
            const scale = nearest.scales[c] ?? 1
            const e = Array.from(
              { length: 12 },
              (_, k) => (integers[k * 5 + c] ?? 0) - (layer.weight.data[k * 5 + c] ?? 0) / scale,
            )
            for (let i = 0; i < 12; i++)
              for (let j = 0; j < 12; j++) sum += (e[i] ?? 0) * (e[j] ?? 0) * (moment[i * 12 + j] ?? 0)
          }
          return sum
        }
        expect(cost(weight)).toBeLessThanOrEqual(cost(nearest.weight) + 1e-9)
        expect(canSaturate(layer, weight)).toBe(false)
        for (const [i, q] of weight.entries()) {
          const real = (layer.weight.data[i] ?? 0) / (nearest.scales[i % 5] ?? 1)
          expect(Math.abs(q - real)).toBeLessThanOrEqual(1 + 1e-6)
        }
      }),
      { numRuns: 60, seed: 2 },
    )
  })
})

describe('a gate on what is lost', () => {
  it('puts layers back to float, those that hurt most first, until the loss is small enough', async () => {
    const g = deep()
    const bytes = g.bytes()
    const x = g.rows(64)
    const wanted = await runOnce(runtime, bytes, { x })
    const losses: number[] = []
    const measure = async (onnx: Uint8Array): Promise<number> => {
      const actual = await runOnce(runtime, onnx, { x })
      const loss = Math.sqrt(
        wanted.reduce((sum, value, i) => sum + (value - (actual[i] ?? NaN)) ** 2, 0) / wanted.length,
      )
      losses.push(loss)
      return loss
    }
    const all = await createInt8Quantizer().quantize(bytes, { x }, runtime, { precision: 'int8' })
    await measure(all.onnx)
    const maxLoss = 0.6 * (losses[0] ?? 0)
    const gated = createInt8Quantizer({ gate: { maxLoss, measure } })
    const { quantized, kept, onnx } = await gated.quantize(bytes, { x }, runtime, { precision: 'int8' })
    expect(losses.at(-1)).toBeLessThanOrEqual(maxLoss)
    expect(quantized.length).toBeLessThan(all.quantized.length)
    expect(kept.some(({ reason }) => reason.includes('the loss is'))).toBe(true)
    expect(await measure(onnx)).toBeLessThanOrEqual(maxLoss)
    const worst = all.layers.toSorted((a, b) => (a.outputSnrDb ?? 0) - (b.outputSnrDb ?? 0))[0]?.node
    expect(quantized).not.toContain(worst)
  })

  it('says so when not even one layer can stay', async () => {
    const g = deep()
    const gated = createInt8Quantizer({ gate: { maxLoss: 0, measure: async () => 1 } })
    const run = gated.quantize(g.bytes(), { x: g.rows(16) }, runtime, { precision: 'int8' })
    await expect(run).rejects.toMatchObject({ code: 'QUANTIZE_NOTHING' })
  })
})
