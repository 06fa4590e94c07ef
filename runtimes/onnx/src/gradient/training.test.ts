import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { roundName, unroll } from '../build/unroll.js'
import { floats, int64s, type Value } from '../build/value.js'
import { writeModel } from '../format/write.js'
import { transformerBlock } from './cases/transformer.fixture.js'
import { differentiate } from './differentiate.js'
import { seeded } from './gradient.fixture.js'

const [BATCH, STEPS, FEATURES, CLASSES] = [32, 12, 3, 2]

/** A network from sequences [batch, steps, features] to the scores of the classes; it asks for its weights by shape. */
type Network = (g: GraphBuilder, x: Value, weight: (...shape: readonly number[]) => Value) => Value

const ints = (g: GraphBuilder, ...values: readonly number[]): Value => g.constant(int64s(values))

/** The last state of a recurrent layer, then a dense one. */
const recurrent =
  (operator: string, gates: number, direction: string): Network =>
  (g, x, weight) => {
    const hidden = 8
    const directions = direction === 'bidirectional' ? 2 : 1
    const rows = gates * hidden
    const steps = g.op('Transpose', [x], { perm: [1n, 0n, 2n] })
    const weights = [
      weight(directions, rows, FEATURES),
      weight(directions, rows, hidden),
      weight(directions, 2 * rows),
    ] as const
    const attributes = { hidden_size: BigInt(hidden), direction }
    const [, last] = g.ops(operator, [steps, ...weights], attributes, { outputs: 2 })
    const state = g.op('Transpose', [last], { perm: [1n, 0n, 2n] })
    const flat = g.op('Reshape', [state, ints(g, -1, directions * hidden)])
    return g.op('Gemm', [flat, weight(directions * hidden, CLASSES), weight(CLASSES)])
  }

/** Two transformer blocks on embedded steps, and the mean of what they give. */
const transformer: Network = (g, x, weight) => {
  const width = 8
  const embedded = g.op('Add', [g.op('MatMul', [x, weight(FEATURES, width)]), weight(STEPS, width)])
  const first = transformerBlock(g, embedded, { width, heads: 2, weight })
  const second = transformerBlock(g, first, { width, heads: 2, weight })
  const pooled = g.op('ReduceMean', [second], { axes: [1n], keepdims: 0n })
  return g.op('Gemm', [pooled, weight(width, CLASSES), weight(CLASSES)])
}

const NETWORKS: Readonly<Record<string, Network>> = {
  'an LSTM': recurrent('LSTM', 4, 'forward'),
  'a bidirectional GRU': recurrent('GRU', 3, 'bidirectional'),
  'a simple recurrent layer': recurrent('RNN', 1, 'forward'),
  'a transformer encoder': transformer,
}

/** Noise with a pulse in one feature: its class is whether the pulse goes up or down, wherever it comes. */
function sequences(random: () => number): { x: Float32Array; labels: BigInt64Array } {
  const x = Float32Array.from({ length: BATCH * STEPS * FEATURES }, () => random() - 0.5)
  const labels = BigInt64Array.from({ length: BATCH }, () => (random() < 0.5 ? 0n : 1n))
  for (const [row, label] of labels.entries()) {
    const at = Math.floor(random() * (STEPS - 2))
    for (const step of [at, at + 1, at + 2]) x[(row * STEPS + step) * FEATURES] = label === 0n ? -2 : 2
  }
  return { x, labels }
}

interface Step {
  readonly g: GraphBuilder
  /** The weights that it starts from. */
  readonly feeds: Record<string, OrtTensor>
}

/** A step of gradient descent: `loss`, and `w0_next` for each weight `w0`. */
function stepOf(network: Network, random: () => number): Step {
  const g = new GraphBuilder('step')
  const x = g.input('x', 'float32', [null, STEPS, FEATURES])
  const labels = g.input('labels', 'int64', [null])
  const weights: Value[] = []
  const feeds: Record<string, OrtTensor> = {}
  const scores = network(g, x, (...shape) => {
    const value = g.input(`w${weights.length}`, 'float32', shape)
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.5)
    feeds[value.name] = new OrtTensor('float32', data, shape)
    weights.push(value)
    return value
  })
  const loss = g.op('SoftmaxCrossEntropyLoss', [scores, labels])
  g.output('loss', loss)
  const rate = g.constant(floats('float32', [0.2]))
  for (const [at, gradient] of differentiate(g, loss, weights).entries()) {
    const weight = weights[at] as Value
    g.output(`${weight.name}_next`, g.op('Sub', [weight, g.op('Mul', [gradient, rate])]))
  }
  return { g, feeds }
}

const open = (model: ReturnType<GraphBuilder['build']>): Promise<InferenceSession> =>
  InferenceSession.create(writeModel(model), { intraOpNumThreads: 1, logSeverityLevel: 3 })

function batch(random: () => number): { x: OrtTensor; labels: OrtTensor } {
  const { x, labels } = sequences(random)
  return {
    x: new OrtTensor('float32', x, [BATCH, STEPS, FEATURES]),
    labels: new OrtTensor('int64', labels, [BATCH]),
  }
}

/** The losses of so many steps of gradient descent, each on other sequences. */
async function losses(network: Network, count: number): Promise<number[]> {
  const random = seeded(20)
  const { g, feeds } = stepOf(network, random)
  const session = await open(g.build())
  const found: number[] = []
  let weights = feeds
  for (let step = 0; step < count; step++) {
    const out = await session.run({ ...weights, ...batch(random) })
    found.push(Number(out['loss']?.data[0]))
    weights = Object.fromEntries(Object.keys(feeds).map((name) => [name, out[`${name}_next`] as OrtTensor]))
  }
  await session.release()
  return found
}

describe('gradient descent on sequences, each step on new ones, lowers the loss to less than half,', () => {
  for (const [name, network] of Object.entries(NETWORKS))
    it(`with ${name}`, async () => {
      const found = await losses(network, 80)
      const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
      expect(found.every(Number.isFinite)).toBe(true)
      expect(mean(found.slice(-8))).toBeLessThan(0.5 * mean(found.slice(0, 8)))
    })
})

it('three steps with an LSTM in one run, loops and all, do what three runs do', async () => {
  const network = NETWORKS['an LSTM'] as Network
  const random = seeded(20)
  const { g, feeds } = stepOf(network, random)
  const carried = new Map(Object.keys(feeds).map((name) => [name, `${name}_next`]))
  const session = await open(unroll(g.build(), { times: 3, carried, shared: new Set() }))
  const batches = [0, 1, 2].map((round) =>
    Object.entries(batch(random)).map(([name, tensor]) => [roundName(name, round), tensor] as const),
  )
  const out = await session.run({ ...feeds, ...Object.fromEntries(batches.flat()) })
  await session.release()
  const together = [0, 1, 2].map((round) => Number(out[roundName('loss', round)]?.data[0]))
  expect(together).toEqual(await losses(network, 3))
})

it('the gradients of a transformer block equal central differences in float64', async () => {
  const random = seeded(7)
  const numbers = (length: number): Float64Array => Float64Array.from({ length }, () => random() - 0.5)
  const g = new GraphBuilder('block')
  const inputs: Value[] = []
  const feeds: Record<string, OrtTensor> = {}
  const input = (...shape: readonly number[]): Value => {
    const value = g.input(`x${inputs.length}`, 'float64', shape)
    feeds[value.name] = new OrtTensor('float64', numbers(shape.reduce((a, b) => a * b, 1)), shape)
    inputs.push(value)
    return value
  }
  const y = transformerBlock(g, input(2, 3, 4), { width: 4, heads: 2, weight: input })
  const loss = g.op('ReduceSum', [g.op('Mul', [y, g.op('Mul', [y, y])])], { keepdims: 0n })
  g.output('loss', loss)
  for (const [at, gradient] of differentiate(g, loss, inputs).entries()) g.output(`d${at}`, gradient)
  const session = await open(g.build())
  const here = await session.run(feeds)
  for (const [at, { name }] of inputs.entries()) {
    const { dims, data } = feeds[name] as OrtTensor
    const values = data as Float64Array
    const direction = numbers(values.length)
    const lossAt = async (h: number): Promise<number> => {
      const moved = values.map((value, place) => value + h * (direction[place] as number))
      const out = await session.run({ ...feeds, [name]: new OrtTensor('float64', moved, dims) })
      return Number(out['loss']?.data[0])
    }
    const expected = ((await lossAt(1e-5)) - (await lossAt(-1e-5))) / 2e-5
    const gradient = here[`d${at}`]?.data as Float64Array
    const actual = direction.reduce((sum, value, place) => sum + value * (gradient[place] as number), 0)
    expect(Math.abs(actual - expected), name).toBeLessThan(1e-6 * (1 + Math.abs(expected)))
  }
  await session.release()
})
