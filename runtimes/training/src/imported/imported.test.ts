import { create } from '@bufbuild/protobuf'
import { codeOf, type Tensor } from '@tideway/core'
import {
  findInitializer,
  fromTensor,
  GraphBuilder,
  graphOf,
  type Model,
  ModelSchema,
  makeNode,
  readModel,
  valueInfo,
  writeModel,
} from '@tideway/onnx'
import { describe, expect, it } from 'vitest'
import { inferenceModel } from '../graphs/inference.js'
import { fits } from './glob.js'
import { importTrainable } from './imported.js'
import { descend, initialWeights, predict, seeded } from './train.fixture.js'

const random = seeded(3)
const tensor = (shape: readonly number[], scale = 1): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (random() * 2 - 1) * scale),
})
const positive = (size: number): Tensor => ({
  dtype: 'float32',
  shape: [size],
  data: Float32Array.from({ length: size }, () => 0.5 + random()),
})
const node = makeNode
const BATCH = 32

/** 6 numbers, two dense layers with normalizations, a dropout, 4 classes: PyTorch's names. */
function classifier(batch: number | null = null, changes: (model: Model) => void = () => undefined): Uint8Array {
  const model = create(ModelSchema, {
    irVersion: 8n,
    producerName: 'pytorch',
    opsetImport: [{ domain: '', version: 13n }],
    graph: {
      name: 'main',
      node: [
        node('Gemm', ['x', 'backbone.fc1.weight', 'backbone.fc1.bias'], ['h1'], { transB: 1n }, '/backbone/fc1/Gemm'),
        node(
          'BatchNormalization',
          ['h1', 'backbone.bn1.weight', 'backbone.bn1.bias', 'backbone.bn1.running_mean', 'backbone.bn1.running_var'],
          ['n1'],
          {},
          '/backbone/bn1/BatchNormalization',
        ),
        node('Relu', ['n1'], ['r1'], {}, '/backbone/relu1/Relu'),
        node('Dropout', ['r1', 'rate'], ['d1'], {}, '/backbone/drop/Dropout'),
        node('Gemm', ['d1', 'fc2.weight', 'fc2.bias'], ['h2'], { transB: 1n }, '/fc2/Gemm'),
        node(
          'BatchNormalization',
          ['h2', 'bn2.weight', 'bn2.bias', 'bn2.running_mean', 'bn2.running_var'],
          ['n2'],
          {},
          '/bn2/BatchNormalization',
        ),
        node('Relu', ['n2'], ['r2'], {}, '/relu2/Relu'),
        node('Dropout', ['r2', 'rate'], ['d2'], {}, '/drop2/Dropout'),
        node('Gemm', ['d2', 'fc3.weight', 'fc3.bias'], ['logits'], { transB: 1n }, '/fc3/Gemm'),
        node('Softmax', ['logits'], ['probabilities'], { axis: 1n }, '/Softmax'),
      ],
      initializer: [
        fromTensor('backbone.fc1.weight', tensor([8, 6])),
        fromTensor('backbone.fc1.bias', tensor([8])),
        fromTensor('backbone.bn1.weight', positive(8)),
        fromTensor('backbone.bn1.bias', tensor([8])),
        fromTensor('backbone.bn1.running_mean', tensor([8])),
        fromTensor('backbone.bn1.running_var', positive(8)),
        fromTensor('fc2.weight', tensor([10, 8])),
        fromTensor('fc2.bias', tensor([10])),
        fromTensor('bn2.weight', positive(10)),
        fromTensor('bn2.bias', tensor([10])),
        fromTensor('bn2.running_mean', tensor([10])),
        fromTensor('bn2.running_var', positive(10)),
        fromTensor('fc3.weight', tensor([4, 10])),
        fromTensor('fc3.bias', tensor([4])),
        fromTensor('rate', { dtype: 'float32', shape: [], data: Float32Array.of(0.25) }),
      ],
      input: [valueInfo({ name: 'x', dtype: 'float32', shape: [batch, 6] })],
      output: [valueInfo({ name: 'probabilities', dtype: 'float32', shape: [batch, 4] })],
    },
  })
  changes(model)
  return writeModel(model)
}

const rows = tensor([BATCH, 6], 2)
const classes = (count: number): Tensor => ({
  dtype: 'int32',
  shape: [BATCH],
  data: Int32Array.from({ length: BATCH }, (_, at) => {
    const [a = 0, b = 0] = (rows.data as Float32Array).subarray(at * 6)
    return (a > 0 ? 1 : 0) + (b > 0 && count > 2 ? 2 : 0)
  }),
})

const issuesOf = (work: () => unknown): unknown => {
  try {
    work()
  } catch (error) {
    return [codeOf(error), String((error as { data: { issues?: string[] } }).data.issues)]
  }
  return undefined
}

describe('an imported model', () => {
  it('computes what the file does when nothing was trained, for any batch', async () => {
    for (const batch of [null, BATCH]) {
      const onnx = classifier(batch)
      const network = importTrainable(onnx)
      const shipped = inferenceModel(network, initialWeights(network))
      const [theirs, ours] = [await predict(onnx, { x: rows }), await predict(shipped, { x: rows })]
      expect(ours['probabilities']?.shape).toEqual([BATCH, 4])
      // One engine; normalizations fused at other places.
      for (const [at, value] of theirs['probabilities']!.values.entries())
        expect(ours['probabilities']?.values[at]).toBeCloseTo(value, 5)
    }
  })

  it('says what it is to training: weights, statistics, the last activation', () => {
    const network = importTrainable(classifier())
    expect(network.input).toEqual({ name: 'x', shape: [6] })
    expect(network.output).toEqual({ name: 'probabilities', shape: [4] })
    expect(network.lastActivation).toBe('softmax')
    expect(network.parameters.map(({ name, decays }) => [name, decays])).toEqual([
      ['backbone.fc1.weight', true],
      ['backbone.fc1.bias', false],
      ['backbone.bn1.weight', false],
      ['backbone.bn1.bias', false],
      ['fc2.weight', true],
      ['fc2.bias', false],
      ['bn2.weight', false],
      ['bn2.bias', false],
      ['fc3.weight', true],
      ['fc3.bias', false],
    ])
    expect(network.statistics.map(({ name }) => name)).toEqual([
      'backbone.bn1.running_mean',
      'backbone.bn1.running_var',
      'bn2.running_mean',
      'bn2.running_var',
    ])
  })

  it('learns, with the frozen part and its statistics as they were, bit for bit', async () => {
    const onnx = classifier()
    const network = importTrainable(onnx, { freeze: ['backbone.*'] })
    const before = initialWeights(network)
    const { losses, weights, masks } = await descend(network, rows, classes(4), { steps: 30, rate: 0.2 })
    expect(losses.at(-1)).toBeLessThan(losses[0]! * 0.7)
    // Behind all that is frozen: both are on.
    expect(masks).toEqual(['mask//backbone/drop/Dropout', 'mask//drop2/Dropout'])
    expect(network.statistics.map(({ name }) => name)).toEqual(['bn2.running_mean', 'bn2.running_var'])
    expect(weights['bn2.running_mean']).not.toEqual(before['bn2.running_mean'])
    const shipped = inferenceModel(network, weights)
    const [tuned, original] = [graphOf(readModel(shipped)), graphOf(readModel(onnx))]
    for (const { name, trainable } of network.parameters) {
      const [ours, theirs] = [tuned, original].map(
        (graph) => findInitializer(graph, name)?.rawData ?? new Uint8Array(0),
      )
      expect(Buffer.compare(ours!, theirs!) === 0, name).toBe(!trainable)
    }
    const out = (await predict(shipped, { x: rows }))['probabilities']!
    const right = Array.from({ length: BATCH }, (_, at) => {
      const row = out.values.slice(at * 4, at * 4 + 4)
      return row.indexOf(Math.max(...row)) === (classes(4).data as Int32Array)[at]
    }).filter(Boolean).length
    expect(right).toBeGreaterThan(BATCH / 2)
  })

  it('leaves dropouts inside of frozen parts off', async () => {
    const network = importTrainable(classifier(), { freeze: ['backbone.*', 'fc2.*', '/bn2/*'] })
    expect((await descend(network, rows, classes(4), { steps: 1, rate: 0.1 })).masks).toEqual(['mask//drop2/Dropout'])
  })

  it('takes a head of other classes in place of its last dense layer', async () => {
    const network = importTrainable(classifier(), { freeze: ['*'], head: { classes: 2, dropout: 0.1 } })
    expect(network.output.shape).toEqual([2])
    expect(network.parameters.filter(({ trainable }) => trainable).map(({ name, shape }) => [name, shape])).toEqual([
      ['head/kernel', [10, 2]],
      ['head/bias', [2]],
    ])
    expect(network.statistics).toEqual([])
    const { losses } = await descend(network, rows, classes(2), { steps: 40, rate: 0.3 })
    expect(losses.at(-1)).toBeLessThan(losses[0]! * 0.8)
  })

  it('is cut at a node or a value, and takes a head of numbers there', async () => {
    for (const cutAt of ['/relu2/Relu', 'r2']) {
      const network = importTrainable(classifier(), { cutAt, head: { outputs: 3 } })
      expect(network.lastActivation).toBe('linear')
      expect(network.output.shape).toEqual([3])
      const { losses } = await descend(network, rows, tensor([BATCH, 3]), { steps: 20, rate: 0.05 })
      expect(losses.at(-1)).toBeLessThan(losses[0]!)
    }
  })

  it('says in plain words what became of its parts', () => {
    const { notes } = importTrainable(classifier(BATCH), { freeze: ['backbone.*'] })
    expect(notes).toEqual([
      '6 tensors (154 numbers) are trained, 4 tensors (72 numbers) are frozen',
      '1 batch normalization trained with the statistics of each batch; the running ones go into the model',
      '1 batch normalization in frozen parts keep the statistics of the file',
      'the file has a fixed batch of 32; here the batch is free',
    ])
  })

  it('with a normalization that nothing uses is told so', () => {
    const onnx = classifier(null, (model) =>
      model.graph?.node.push(
        node(
          'BatchNormalization',
          ['h2', 'bn2.weight', 'bn2.bias', 'bn2.running_mean', 'bn2.running_var'],
          ['n3'],
          {},
          '/unused',
        ),
      ),
    )
    expect(importTrainable(onnx).notes[0]).toBe(
      '1 batch normalization of the file is used by no output and left out: /unused',
    )
  })

  it('with a tensor that several nodes use trains it as one, and says so', async () => {
    const onnx = classifier(null, (model) => {
      for (const item of model.graph?.node ?? [])
        item.input = item.input.map((name) => (name === 'bn2.bias' ? 'fc2.bias' : name))
    })
    const network = importTrainable(onnx)
    expect(network.notes).toContainEqual(
      '1 tensor used by several nodes, each trained as one (exporters store equal values once): fc2.bias',
    )
    const { losses } = await descend(network, rows, classes(4), { steps: 10, rate: 0.1 })
    expect(losses.at(-1)).toBeLessThan(losses[0]!)
  })

  it('takes whole numbers and bytes, converted from rows of float32', async () => {
    const model = create(ModelSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: '', version: 13n }],
      graph: {
        name: 'tokens',
        node: [
          node('Gather', ['table', 'tokens'], ['embedded']),
          node('MatMul', ['embedded', 'w'], ['hidden'], {}, '/dense'),
          node('ReduceMean', ['hidden'], ['y'], { axes: [1n], keepdims: 0n }),
        ],
        initializer: [fromTensor('table', tensor([9, 5])), fromTensor('w', tensor([5, 3]))],
        input: [valueInfo({ name: 'tokens', dtype: 'int64', shape: [null, null] })],
        output: [valueInfo({ name: 'y', dtype: 'float32', shape: [null, 3] })],
      },
    })
    expect(issuesOf(() => importTrainable(writeModel(model)))).toEqual([
      'TRAIN_CONFIG_INVALID',
      'inputShape: the file leaves sizes of [?] free; say which they are',
    ])
    const network = importTrainable(writeModel(model), { inputShape: [4] })
    expect(network.notes).toContain('input "tokens" is int64 in the file; rows are given as float32 and converted')
    const tokens: Tensor = {
      dtype: 'float32',
      shape: [BATCH, 4],
      data: Float32Array.from({ length: BATCH * 4 }, () => Math.floor(random() * 9)),
    }
    const { losses } = await descend(network, tokens, tensor([BATCH, 3]), { steps: 20, rate: 0.2 })
    expect(losses.at(-1)).toBeLessThan(losses[0]!)
  })

  it('names every option that does not fit it', () => {
    const onnx = classifier()
    expect(issuesOf(() => importTrainable(onnx, { freeze: ['bakbone.*'] }))).toEqual([
      'TRAIN_CONFIG_INVALID',
      expect.stringContaining('freeze: "bakbone.*" matches no weight and no node; there is: backbone.'),
    ])
    expect(issuesOf(() => importTrainable(onnx, { freeze: ['*'] }))).toEqual([
      'TRAIN_CONFIG_INVALID',
      'freeze: every weight is frozen and there is no head to train',
    ])
    expect(issuesOf(() => importTrainable(onnx, { head: { classes: 1, dropout: 1 } }))).toEqual([
      'TRAIN_CONFIG_INVALID',
      'head.classes: 1 is no whole number from 2,head.dropout: 1 is not in [0, 1)',
    ])
    expect(issuesOf(() => importTrainable(onnx, { inputShape: [7] }))).toEqual([
      'TRAIN_CONFIG_INVALID',
      "inputShape: [7] does not fit the file's [6]",
    ])
    expect(() => importTrainable(onnx, { cutAt: '/fc2/Gem' })).toThrowError(
      expect.objectContaining({
        code: 'VALUE_NOT_FOUND',
        data: { name: '/fc2/Gem', nearest: expect.arrayContaining(['/fc2/Gemm']) },
      }),
    )
  })

  it('keeps out of the way of names that a training step has', () => {
    const onnx = classifier(null, (model) => {
      for (const item of model.graph?.node ?? []) {
        item.input = item.input.map((name) => (name === 'fc2.weight' ? 'rows' : name))
        item.output = item.output.map((name) => (name === 'r2' ? 'loss' : name))
        item.input = item.input.map((name) => (name === 'r2' ? 'loss' : name))
      }
      for (const item of model.graph?.initializer ?? []) if (item.name === 'fc2.weight') item.name = 'rows'
    })
    const network = importTrainable(onnx)
    expect(network.parameters.map(({ name }) => name)).toContain('model/rows')
    const g = new GraphBuilder('names')
    for (const name of ['rows', 'targets', 'loss']) g.input(name, 'float32', [2, 6])
    const values = new Map(
      [...network.parameters, ...network.statistics].map(({ name, shape }) => [name, g.input(name, 'float32', shape)]),
    )
    const take = (name: string) => values.get(name)!
    const never = (): never => {
      throw new Error('not while it is used')
    }
    const context = { training: false, parameter: take, statistic: take, update: never, mask: never, penalty: never }
    expect(network.forward(g, g.value('rows')!, context, 'prediction').output.name).toBe('prediction')
  })
})

it('patterns take any text for a star, one character for a question mark, and everything else as it is', () => {
  for (const [pattern, name, expected] of [
    ['*', '', true],
    ['backbone.*', 'backbone.0.weight', true],
    ['backbone.*', 'backboneX0', false],
    ['*.bias', 'a.b.bias', true],
    ['*.bias', 'a.bias.x', false],
    ['layer?.w', 'layer1.w', true],
    ['layer?.w', 'layer12.w', false],
    ['a*b*c', 'aXbXbc', true],
    [`${'*a'.repeat(50)}b`, 'a'.repeat(5000), false],
  ] as const)
    expect(fits(pattern, name), `${pattern.slice(0, 20)} on ${name.slice(0, 20)}`).toBe(expected)
})
