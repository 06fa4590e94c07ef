import type { Tensor, TensorSpec } from '@tideway/core'
import { makeNode } from '../../format/node.js'
import type { Node } from '../../generated/onnx_pb.js'
import { floats, modelOf, normal, uniform } from '../models.fixture.js'

/** A float model under construction, with random weights. */
export class Network {
  readonly node: Node[] = []
  readonly constants: Record<string, Tensor> = {}
  private readonly random: () => number
  private next = 0

  constructor(
    readonly shape: readonly number[],
    seed = 1,
  ) {
    this.random = uniform(seed)
  }

  weights(shape: number[], deviation = 0.3): string {
    const name = `w${this.next++}`
    const inner = shape.slice(1).reduce((a, b) => a * b, 1)
    const count = shape.reduce((a, b) => a * b, 1)
    // So that values keep their size through the layers.
    this.constants[name] = floats(shape, normal(count, deviation * Math.max(1, Math.sqrt(9 / inner)), this.random))
    return name
  }

  sizes(...values: number[]): string {
    const name = `k${this.next++}`
    this.constants[name] = { dtype: 'int64', shape: [values.length], data: BigInt64Array.from(values, BigInt) }
    return name
  }

  scales(...values: number[]): string {
    const name = `k${this.next++}`
    this.constants[name] = floats([values.length], values)
    return name
  }

  op(opType: string, inputs: string[], attributes: Parameters<typeof makeNode>[3] = {}, name?: string): string {
    const output = name ?? `v${this.next++}`
    this.node.push(makeNode(opType, inputs, [output], attributes))
    return output
  }

  conv(input: string, shape: number[], attributes: Parameters<typeof makeNode>[3] = {}): string {
    return this.op('Conv', [input, this.weights(shape), this.weights([shape[0] ?? 1])], attributes)
  }

  dense(input: string, inner: number, outer: number, name?: string): string {
    return this.op('Gemm', [input, this.weights([inner, outer]), this.weights([outer])], {}, name)
  }

  /** The file; its output is called "y". */
  bytes(output: TensorSpec['shape'] = [null, null]): Uint8Array {
    return modelOf({
      input: [{ name: 'x', dtype: 'float32', shape: [null, ...this.shape.slice(1)] }],
      output: { name: 'y', dtype: 'float32', shape: output },
      node: this.node,
      constants: this.constants,
    })
  }

  rows(count: number, seed = 7): Tensor {
    const shape = [count, ...this.shape.slice(1)]
    return floats(
      shape,
      normal(
        shape.reduce((a, b) => a * b, 1),
        1,
        uniform(seed),
      ),
    )
  }
}

const same = [1n, 1n, 1n, 1n]

/** Networks of every kind that becomes integer. */
export const NETWORKS: Readonly<Record<string, () => Network>> = {
  'two convolutions with pooling, and a dense layer': () => {
    const g = new Network([1, 3, 8, 8])
    const a = g.op('Relu', [g.conv('x', [8, 3, 3, 3], { pads: same })])
    const b = g.op('MaxPool', [a], { kernel_shape: [2n, 2n], strides: [2n, 2n] })
    const c = g.op('Relu', [g.conv(b, [12, 8, 3, 3], { pads: same })])
    g.dense(g.op('Flatten', [c]), 12 * 16, 5, 'y')
    return g
  },
  'depthwise and pointwise convolutions': () => {
    const g = new Network([1, 4, 9, 7], 2)
    let value = g.op('Relu', [g.conv('x', [16, 4, 3, 3], { pads: same, strides: [2n, 2n] })])
    for (let i = 0; i < 2; i++) {
      value = g.op('Relu', [g.conv(value, [16, 1, 3, 3], { pads: same, group: 16n })])
      value = g.op('Relu', [g.conv(value, [16, 16, 1, 1])])
    }
    g.dense(g.op('Flatten', [g.op('GlobalAveragePool', [value])]), 16, 5, 'y')
    return g
  },
  'a residual block': () => {
    const g = new Network([1, 8, 6, 6], 3)
    const a = g.op('Relu', [g.conv('x', [8, 8, 3, 3], { pads: same })])
    const b = g.conv(g.op('Relu', [g.conv(a, [8, 8, 3, 3], { pads: same })]), [8, 8, 3, 3], { pads: same })
    const c = g.op('Relu', [g.op('Add', [a, b])])
    g.dense(g.op('Flatten', [g.op('GlobalAveragePool', [c])]), 8, 4, 'y')
    return g
  },
  'joined branches that end elsewhere': () => {
    const g = new Network([1, 4, 6, 6], 4)
    const a = g.op('Relu', [g.conv('x', [8, 4, 1, 1])])
    const b = g.op('Clip', [
      g.conv('x', [4, 4, 3, 3], { pads: same }),
      g.op('Constant', [], { value: floats([], [0]) }),
      g.op('Constant', [], { value: floats([], [1]) }),
    ])
    const c = g.op('Concat', [a, b], { axis: 1n })
    const d = g.op('AveragePool', [g.conv(c, [6, 12, 3, 3])], { kernel_shape: [2n, 2n], strides: [2n, 2n] })
    g.dense(g.op('Reshape', [d, g.sizes(-1, 24)]), 24, 4, 'y')
    return g
  },
  'joined branches with one range': () => {
    const g = new Network([1, 4, 6, 6], 9)
    const [a = '', b = ''] = [3, 5].map((channels) => g.op('Relu', [g.conv('x', [channels, 4, 1, 1])]))
    const c = g.op('Concat', [g.op('MaxPool', [a], { kernel_shape: [3n, 3n], pads: same }), b], { axis: 1n })
    g.dense(g.op('Flatten', [g.conv(c, [4, 8, 3, 3])]), 64, 4, 'y')
    return g
  },
  'a 1-D convolution': () => {
    const g = new Network([1, 4, 20], 5)
    const a = g.op('Relu', [g.conv('x', [8, 4, 5], { strides: [2n], pads: [2n, 2n] })])
    const b = g.op('Relu', [g.conv(a, [8, 8, 3], { dilations: [2n], pads: [2n, 2n] })])
    g.dense(g.op('Flatten', [b]), 80, 3, 'y')
    return g
  },
  'channels last outside, transposed inside': () => {
    const g = new Network([1, 6, 5, 1], 6)
    const a = g.conv(g.op('Reshape', ['x', g.sizes(-1, 1, 6, 5)]), [8, 1, 3, 3], { pads: same })
    const b = g.op('Transpose', [g.op('Relu', [a])], { perm: [0n, 2n, 3n, 1n] })
    g.dense(g.op('Reshape', [b, g.sizes(-1, 240)]), 240, 3, 'y')
    return g
  },
  'channels scaled by what their mean says': () => {
    const g = new Network([1, 4, 6, 6], 7)
    const a = g.op('Relu', [g.conv('x', [8, 4, 3, 3], { pads: same })])
    const b = g.op('Relu', [g.conv(g.op('GlobalAveragePool', [a]), [8, 8, 1, 1])])
    const c = g.conv(g.op('Mul', [a, b]), [4, 8, 3, 3])
    g.dense(g.op('Flatten', [c]), 64, 3, 'y')
    return g
  },
  'attention: products of computed matrices': () => {
    const g = new Network([1, 6, 8], 8)
    const [q, k, v] = ['q', 'k', 'v'].map(() => g.op('Add', [g.op('MatMul', ['x', g.weights([8, 8])]), g.weights([8])]))
    const scores = g.op('MatMul', [q ?? '', g.op('Transpose', [k ?? ''], { perm: [0n, 2n, 1n] })])
    const mixed = g.op('MatMul', [g.op('Softmax', [scores], { axis: -1n }), v ?? ''])
    g.op('MatMul', [mixed, g.weights([8, 3])], {}, 'y')
    return g
  },
}
