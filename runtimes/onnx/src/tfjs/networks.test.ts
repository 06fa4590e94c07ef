import type { NetworkConfig, Tensor } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createTfjsRuntime } from '@tideway/runtime-tfjs'
import { inferenceModel, initialStatistics, trainableOf } from '@tideway/training'
import { describe, expect, it } from 'vitest'
import { NETWORKS } from '../../../../plugins/trainer-tfjs/src/networks.fixture.js'
import { dsCnn, resnet8 } from '../../../training/src/layers/networks.fixture.js'
import { count, numbers } from '../../../training/src/layers/run.fixture.js'
import { cleanUpModel } from '../cleanup/cleanup.js'
import { tfjsGraphModel } from './export.js'

/** What a network takes: indices for an embedding, a category and a number that may be missing for a table. */
function rowsFor({ input, layers: [first] }: NetworkConfig, rows: number): Tensor {
  const values = numbers(rows * count(input.shape), 3)
  const data = values.map((value, at) => {
    if (first?.type === 'embedding') return Math.floor((value + 1) * 2)
    if (first?.type !== 'columns') return value
    return at % 2 === 1 ? (at % 3 === 0 ? 1 : 0) : at === 4 ? Number.NaN : value * 3
  })
  return { dtype: 'float32', shape: [rows, ...input.shape], data }
}

/** A network's ONNX file with weights of a seed, those that begin at 0 or 1 among them; deviations are not negative. */
function fileOf(network: NetworkConfig): Uint8Array {
  const trainable = trainableOf(network)
  const parameters = trainable.parameters.map(({ name, shape }, at): [string, Float32Array] => [
    name,
    numbers(count(shape), at + 7, Math.sqrt(3 / Math.max(1, count(shape.slice(0, -1))))),
  ])
  const fitted = initialStatistics(trainable, rowsFor(network, 12))
  const statistics = Object.entries(fitted).map(([name, values]): [string, Float32Array] => [
    name,
    values.map((value, at) => value + 0.25 * (at % 3)),
  ])
  return inferenceModel(trainable, Object.fromEntries([...parameters, ...statistics]))
}

const onnx = createOnnxNodeRuntime()
const tfjs = createTfjsRuntime({ providers: ['cpu'] })

/** Answers of the exported file and of the ONNX file on ONNX Runtime, for a batch of each size. */
async function compared(file: Uint8Array, exported: Uint8Array, network: NetworkConfig, sizes: readonly number[]) {
  const [theirs, ours] = [await onnx.load(file), await tfjs.load(exported)]
  try {
    expect(ours.signature.inputs).toEqual(theirs.signature.inputs)
    expect(ours.signature.outputs).toEqual(theirs.signature.outputs)
    for (const rows of sizes) {
      const feeds = { [network.input.name]: rowsFor(network, rows) }
      const [expected, given] = [await theirs.run(feeds), await ours.run(feeds)]
      const [a, b] = [expected, given].map((answer) => answer[network.output.name]) as [Tensor, Tensor]
      expect(b.shape).toEqual(a.shape)
      const far = Math.max(
        ...Array.from(
          a.data as Float32Array,
          (value, at) => Math.abs(value - (b.data[at] as number)) / Math.max(1, Math.abs(value)),
        ),
      )
      expect(far).toBeLessThan(1e-4)
    }
  } finally {
    await Promise.all([theirs.dispose(), ours.dispose()])
  }
}

const cases = Object.entries(NETWORKS).flatMap(([type, all]) =>
  all.map((network, at) => [all.length === 1 ? type : `${type} ${at + 1}`, network] as const),
)

/** Layers whose file changes most when it is cleaned up: their own operators are written, too. */
const AS_TRAINED = ['batchNormalization', 'dropout', 'multiHeadAttention', 'normalization', 'zeroPadding2d']

// Float32 sums of at most some thousand products in another order, of values about 1: 1e-5 at most; a wrong layout,
// padding or weight is off by tenths.
describe('a Graph model of a network', () => {
  it.each(cases)('answers as ONNX Runtime does with its ONNX file: %s', async (type, network) => {
    const file = fileOf(network)
    await compared(file, tfjsGraphModel(await cleanUpModel(file, onnx)), network, [1, 5])
    if (AS_TRAINED.includes(type.split(' ')[0] as string)) await compared(file, tfjsGraphModel(file), network, [1, 5])
  })

  it.each([
    ['ResNet-8', resnet8()],
    ['DS-CNN', dsCnn()],
  ] as const)('answers so for %s, and turns no image on the way', async (name, network) => {
    const file = fileOf(network)
    const exported = tfjsGraphModel(await cleanUpModel(file, onnx))
    await compared(file, exported, network, [1, 5])
    expect(tfjsGraphModel(await cleanUpModel(file, onnx))).toEqual(exported)
    const { modelTopology } = JSON.parse(new TextDecoder().decode(exported)) as {
      modelTopology: { node: { op: string }[] }
    }
    const operators = modelTopology.node.map(({ op }) => op)
    expect(operators).not.toContain('Transpose')
    // All but those behind the sums of ResNet's three stacks are part of a convolution.
    expect(operators.filter((op) => op === 'Relu')).toHaveLength(name === 'ResNet-8' ? 3 : 0)
  })
})
