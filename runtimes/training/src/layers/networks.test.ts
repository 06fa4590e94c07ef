import { codeOf, type LayerConfig, layers, type NetworkConfig, planNetwork } from '@tideway/core'
import { GraphBuilder } from '@tideway/onnx'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { trainableOf } from './index.js'
import { dsCnn, resnet8 } from './networks.fixture.js'
import { distance, numbers, run, uniform } from './run.fixture.js'

const network = (shape: readonly number[], ...all: readonly LayerConfig[]): NetworkConfig => ({
  input: { name: 'x', shape },
  output: { name: 'y' },
  layers: all,
})

const product = (shape: readonly number[]) => shape.reduce((count, size) => count * size, 1)

/** A network run with its initial weights. */
async function runInitial(config: NetworkConfig, batch = 2) {
  const trainable = trainableOf(config)
  const random = uniform(7)
  const weights = new Map(
    [...trainable.parameters, ...trainable.statistics].map((spec) => [spec.name, spec.initial(random)] as const),
  )
  for (const { name, shape } of [...trainable.parameters, ...trainable.statistics])
    expect(weights.get(name)?.length, name).toBe(product(shape))
  const data = numbers(batch * product(trainable.input.shape), 3)
  return { trainable, weights, data, batch, ...(await run(trainable, weights, { batch, data })) }
}

describe('a network of MLPerf Tiny', () => {
  // Of the reference models: 78,666 and 24,908 with the moving statistics that Keras counts in.
  it.each<[string, () => NetworkConfig, number, number]>([
    ['ResNet-8', resnet8, 78_666, 10],
    ['DS-CNN', dsCnn, 24_908, 12],
  ])('%s has the size of the reference and gives probabilities', async (_, make, size, classes) => {
    const { trainable, output, shape } = await runInitial(make())
    const counted = [...trainable.parameters, ...trainable.statistics].reduce(
      (sum, spec) => sum + product(spec.shape),
      0,
    )
    expect(counted).toBe(size)
    expect(planNetwork(make()).parameters).toBe(
      trainable.parameters.reduce((sum, spec) => sum + product(spec.shape), 0),
    )
    expect(shape).toEqual([2, classes])
    for (const row of [0, 1])
      expect(output.slice(row * classes, (row + 1) * classes).reduce((a, b) => a + b)).toBeCloseTo(1, 5)
    expect(trainable.lastActivation).toBe('softmax')
  })

  it('turns its rows once, and nothing between its layers', () => {
    const g = new GraphBuilder('resnet')
    const trainable = trainableOf(resnet8())
    const named = new Map(
      [...trainable.parameters, ...trainable.statistics].map(({ name, shape }) => [
        name,
        g.input(name, 'float32', shape),
      ]),
    )
    const take = (name: string) => named.get(name) as never
    const never = () => {
      throw new Error('not while training')
    }
    trainable.forward(
      g,
      g.input('rows', 'float32', [null, 32, 32, 3]),
      { training: false, parameter: take, statistic: take, update: never, mask: never, penalty: never },
      'out',
    )
    expect(g.nodes.filter(({ opType }) => opType === 'Transpose')).toHaveLength(1)
  })
})

describe('trainableOf', () => {
  it('infers the shapes that ONNX Runtime gives, for random stacks', async () => {
    const image: fc.Arbitrary<LayerConfig> = fc.oneof(
      fc
        .record({
          filters: fc.integer({ min: 1, max: 4 }),
          kernelSize: fc.integer({ min: 1, max: 3 }),
          strides: fc.integer({ min: 1, max: 2 }),
          padding: fc.constantFrom('same' as const, 'valid' as const),
          dilationRate: fc.integer({ min: 1, max: 2 }),
          useBias: fc.boolean(),
        })
        .map((options) => layers.conv2d(options)),
      fc
        .record({
          kernelSize: fc.integer({ min: 1, max: 3 }),
          depthMultiplier: fc.integer({ min: 1, max: 2 }),
          padding: fc.constantFrom('same' as const, 'valid' as const),
        })
        .map((options) => layers.depthwiseConv2d(options)),
      fc
        .record({
          poolSize: fc.integer({ min: 1, max: 3 }),
          padding: fc.constantFrom('same' as const, 'valid' as const),
        })
        .map((options) => layers.maxPooling2d(options)),
      fc
        .record({
          filters: fc.integer({ min: 1, max: 3 }),
          kernelSize: fc.integer({ min: 1, max: 3 }),
          strides: fc.integer({ min: 1, max: 3 }),
          padding: fc.constantFrom('same' as const, 'valid' as const),
        })
        .map((options) => layers.conv2dTranspose(options)),
      fc.constantFrom(
        layers.zeroPadding2d(),
        layers.upSampling2d(),
        layers.batchNormalization(),
        layers.dense({ units: 3 }),
        layers.activation({ activation: 'relu' }),
      ),
    )
    const stack = fc.record({
      shape: fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 3 })),
      all: fc.array(image, { minLength: 1, maxLength: 5 }),
      flat: fc.boolean(),
    })
    let built = 0
    await fc.assert(
      fc.asyncProperty(stack, async ({ shape, all, flat }) => {
        const config = network(shape, ...all, ...(flat ? [layers.flatten(), layers.dense({ units: 2 })] : []))
        try {
          planNetwork(config)
        } catch (error) {
          // A window larger than its rows.
          expect(codeOf(error)).toBe('INPUT_REJECTED')
          return
        }
        built++
        const { trainable, shape: given, output } = await runInitial(config)
        expect(given).toEqual([2, ...trainable.output.shape])
        expect(output.every(Number.isFinite)).toBe(true)
      }),
      { numRuns: 60, seed: 42 },
    )
    expect(built).toBeGreaterThan(20)
  })

  it('pads a causal convolution before the first step only', async () => {
    const causal = await runInitial(
      network([6, 2], layers.conv1d({ filters: 3, kernelSize: 3, dilationRate: 2, padding: 'causal', name: 'c' })),
    )
    const padded = new Float32Array(2 * 10 * 2)
    for (const row of [0, 1]) padded.set(causal.data.subarray(row * 12, (row + 1) * 12), row * 20 + 8)
    const wide = trainableOf(network([10, 2], layers.conv1d({ filters: 3, kernelSize: 3, dilationRate: 2, name: 'c' })))
    const { output } = await run(wide, causal.weights, { batch: 2, data: padded })
    expect(causal.output).toEqual(output)
  })

  it('normalizes a batch by its own mean and variance, and moves the running ones as Keras does', async () => {
    const trainable = trainableOf(network([3], layers.batchNormalization({ name: 'bn', momentum: 0.9, epsilon: 0.01 })))
    const [batch, data] = [4, numbers(12, 1)]
    const weights = new Map(
      [...trainable.parameters, ...trainable.statistics].map((spec) => [spec.name, spec.initial(() => 0.5)]),
    )
    const { output, updates } = await run(trainable, weights, { batch, data }, { training: true })
    for (const feature of [0, 1, 2]) {
      const column = [0, 1, 2, 3].map((row) => data[row * 3 + feature] as number)
      const mean = column.reduce((a, b) => a + b) / batch
      const variance = column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / batch
      for (const [row, value] of column.entries())
        expect(output[row * 3 + feature]).toBeCloseTo((value - mean) / Math.sqrt(variance + 0.01), 5)
      expect(updates.get('bn/moving_mean')?.[feature]).toBeCloseTo(0.1 * mean, 6)
      expect(updates.get('bn/moving_variance')?.[feature]).toBeCloseTo(0.9 + 0.1 * variance, 6)
    }
  })

  it('attends as its definition says', async () => {
    const [steps, features, heads, size] = [3, 4, 2, 3]
    const attention = layers.multiHeadAttention({ name: 'a', numHeads: heads, keyDim: size })
    const { weights, data, output } = await runInitial(network([steps, features], attention), 1)
    const value = (name: string, at: number) => weights.get(`a/${name}`)?.[at] as number
    const project = (part: string, step: number, unit: number) => {
      let sum = value(`${part}/bias`, unit)
      for (let f = 0; f < features; f++)
        sum += (data[step * features + f] as number) * value(`${part}/kernel`, f * heads * size + unit)
      return sum
    }
    const expected: number[] = []
    for (let step = 0; step < steps; step++) {
      const joined: number[] = []
      for (let unit = 0; unit < heads * size; unit++) {
        const first = Math.floor(unit / size) * size
        const scores = Array.from({ length: steps }, (_, other) => {
          let dot = 0
          for (let i = first; i < first + size; i++) dot += project('query', step, i) * project('key', other, i)
          return Math.exp(dot / Math.sqrt(size))
        })
        const total = scores.reduce((a, b) => a + b)
        joined.push(scores.reduce((sum, score, other) => sum + (score / total) * project('value', other, unit), 0))
      }
      for (let f = 0; f < features; f++)
        expected.push(
          joined.reduce(
            (sum, x, unit) => sum + x * value('attention_output/kernel', unit * features + f),
            value('attention_output/bias', f),
          ),
        )
    }
    // Sums of a dozen float32 products against float64.
    expect(distance(output, expected)).toBeLessThan(1e-5)
  })

  it('drops out while training only, in an lstm the same inputs in each step', async () => {
    const dropped = network([3, 2], layers.dropout({ rate: 0.5, name: 'drop' }))
    const { trainable, data, weights, output } = await runInitial(dropped)
    expect(output).toEqual(data)
    const training = await run(trainable, weights, { batch: 2, data }, { training: true })
    const changed = training.output.filter((value, at) => value !== 2 * (data[at] as number))
    expect(changed.every((value) => value === 0)).toBe(true)
    expect(changed.length).toBeGreaterThan(0)
    expect(changed.length).toBeLessThan(data.length)
    const cell = trainableOf(network([3, 2], layers.lstm({ units: 1, dropout: 0.5, name: 'cell' })))
    const g = new GraphBuilder('masks')
    const masks: unknown[] = []
    const take = (name: string) =>
      g.input(name, 'float32', cell.parameters.find((parameter) => parameter.name === name)?.shape ?? [])
    const never = () => {
      throw new Error('an lstm has no statistics')
    }
    cell.forward(
      g,
      g.input('rows', 'float32', [4, 3, 2]),
      {
        training: true,
        parameter: take,
        statistic: never,
        update: never,
        mask: (name, rate, shape) => {
          masks.push([name, rate, shape])
          return g.input(name, 'float32', shape)
        },
        penalty: never,
      },
      'out',
    )
    expect(masks).toEqual([['cell/inputs', 0.5, [4, 1, 2]]])
  })

  it('adds the penalties of kernels to the loss', async () => {
    const config = network(
      [2],
      layers.dense({ units: 3, kernelRegularizer: { type: 'l1l2', l1: 0.5, l2: 0.25 } }),
      layers.dense({ units: 1, kernelRegularizer: 'l2' }),
    )
    const { trainable, data, weights } = await runInitial(config)
    const { penalties } = await run(trainable, weights, { batch: 2, data }, { training: true })
    const sum = (name: string, of: (value: number) => number) =>
      (weights.get(name) ?? new Float32Array(0)).reduce((total, value) => total + of(value), 0)
    const found = [...penalties.values()].map(([value]) => value)
    expect(found).toHaveLength(3)
    expect(found[0]).toBeCloseTo(0.5 * sum('dense_1/kernel', Math.abs), 5)
    expect(found[1]).toBeCloseTo(0.25 * sum('dense_1/kernel', (value) => value * value), 5)
    expect(found[2]).toBeCloseTo(0.01 * sum('dense_2/kernel', (value) => value * value), 5)
  })

  it.each<[RegExp, LayerConfig[]]>([
    [/dense\/bias/, [layers.dense({ units: 3, name: 'dense', biasInitializer: 'ones', biasRegularizer: 'l2' })]],
    [
      /conv\/bias/,
      [
        layers.reshape({ targetShape: [4, 1, 1] }),
        layers.conv2d({ filters: 2, kernelSize: 1, name: 'conv', biasInitializer: 'ones', biasRegularizer: 'l2' }),
      ],
    ],
    [
      /table\/embeddings/,
      [layers.embedding({ inputDim: 5, outputDim: 3, name: 'table', embeddingsRegularizer: 'l2' })],
    ],
    [
      /cell\/bias/,
      [
        layers.reshape({ targetShape: [4, 1] }),
        layers.bidirectional({ name: 'cell', layer: { type: 'lstm', units: 2, biasRegularizer: 'l2' } }),
      ],
    ],
    [
      /attention\/.*\/bias/,
      [
        layers.reshape({ targetShape: [2, 2] }),
        layers.multiHeadAttention({
          numHeads: 1,
          keyDim: 2,
          name: 'attention',
          biasInitializer: 'ones',
          biasRegularizer: 'l2',
        }),
      ],
    ],
  ])('adds the penalty of %s to the loss', async (name, all) => {
    const { trainable, weights } = await runInitial(network([4], ...all))
    const data = Float32Array.from({ length: 8 }, (_, at) => at % 4)
    const { penalties } = await run(trainable, weights, { batch: 2, data }, { training: true })
    const matching = [...weights].filter(([key]) => name.test(key))
    const square = matching.flatMap(([, values]) => [...values]).reduce((sum, value) => sum + value * value, 0)
    expect(square).toBeGreaterThan(0)
    expect(penalties.size).toBe(matching.length)
    const total = [...penalties.values()].reduce((sum, [value = 0]) => sum + value, 0)
    expect(total).toBeCloseTo(0.01 * square, 5)
  })

  it('gives the logits before a last softmax, channels last also behind a convolution', async () => {
    for (const last of [
      layers.conv2d({ filters: 3, kernelSize: 1, activation: 'softmax', name: 'last' }),
      layers.conv2d({ filters: 3, kernelSize: 1, name: 'last' }),
    ]) {
      const trainable = trainableOf(network([2, 2, 2], last))
      const g = new GraphBuilder('logits')
      const never = () => {
        throw new Error('nothing of this kind is in the layer')
      }
      const { output, logits } = trainable.forward(
        g,
        g.input('rows', 'float32', [1, 2, 2, 2]),
        {
          training: false,
          parameter: (name) =>
            g.input(name, 'float32', trainable.parameters.find((spec) => spec.name === name)?.shape ?? []),
          statistic: never,
          update: never,
          mask: never,
          penalty: never,
        },
        'out',
      )
      expect([output.name, output.shape, logits.shape]).toEqual(['out', [1, 2, 2, 3], [1, 2, 2, 3]])
      expect(logits === output).toBe(trainable.lastActivation === 'linear')
    }
  })

  it('fits normalizations on the rows that arrive, behind a rescaling', () => {
    const trainable = trainableOf(
      network(
        [2],
        layers.rescaling({ scale: 0.5, offset: 1 }),
        layers.normalization({ name: 'n' }),
        layers.dense({ units: 1 }),
      ),
    )
    const fitted = trainable.fit?.({ dtype: 'float32', shape: [3, 2], data: Float32Array.of(0, 4, 2, 4, 4, 4) })
    expect([...(fitted?.get('n/mean') ?? [])]).toEqual([2, 3])
    expect(fitted?.get('n/scale')?.[0]).toBeCloseTo(1 / Math.sqrt(2 / 3), 6)
    expect(fitted?.get('n/scale')?.[1]).toBe(1)
  })
})
