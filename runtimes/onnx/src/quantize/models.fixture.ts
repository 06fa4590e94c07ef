import { create } from '@bufbuild/protobuf'
import type { Runtime, Tensor, TensorSpec, Tensors } from '@tideway/core'
import { makeNode } from '../format/node.js'
import { readModel } from '../format/read.js'
import { signatureOf, valueInfo } from '../format/signature.js'
import { fromTensor } from '../format/tensor.js'
import { writeModel } from '../format/write.js'
import { ModelSchema, type Node } from '../generated/onnx_pb.js'

/** A repeatable stream of numbers in [0, 1): mulberry32. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Roughly normal values (the sum of 12 uniform ones), with this deviation. */
export function normal(count: number, deviation: number, random: () => number): Float32Array {
  return Float32Array.from({ length: count }, () => {
    let sum = -6
    for (let i = 0; i < 12; i++) sum += random()
    return sum * deviation
  })
}

export const floats = (shape: number[], data: Float32Array | readonly number[]): Tensor => ({
  dtype: 'float32',
  shape,
  data: data instanceof Float32Array ? data : Float32Array.from(data),
})

/** Tensors of such values with a deviation of 0.2, each other than the one before. */
export const valuesFrom =
  (random: () => number) =>
  (...shape: number[]): Tensor =>
    floats(
      shape,
      normal(
        shape.reduce((a, b) => a * b, 1),
        0.2,
        random,
      ),
    )

export interface ModelParts {
  readonly input?: readonly TensorSpec[]
  readonly output: TensorSpec
  readonly node: Node[]
  readonly constants: Readonly<Record<string, Tensor>>
  readonly opset?: bigint
}

const spec = (name: string, width: number): TensorSpec => ({ name, dtype: 'float32', shape: [null, width] })

export function modelOf({ input, output, node, constants, opset = 17n }: ModelParts): Uint8Array {
  const graph = {
    name: 'fixture',
    node,
    initializer: Object.entries(constants).map(([name, tensor]) => fromTensor(name, tensor)),
    input: (input ?? []).map((item) => valueInfo(item)),
    output: [valueInfo(output)],
  }
  return writeModel(create(ModelSchema, { irVersion: 8n, opsetImport: [{ domain: '', version: opset }], graph }))
}

/** One layer, y = x · w + b, as Gemm. */
export function denseModel(w: Tensor, b: Tensor): Uint8Array {
  const [inner = 0, outer = 0] = w.shape
  return modelOf({
    input: [spec('x', inner)],
    output: spec('y', outer),
    node: [makeNode('Gemm', ['x', 'w', 'b'], ['y'], {}, 'd')],
    constants: { w, b },
  })
}

/** softmax(relu(norm(x) · w1 + b1) · w2 + b2): a MatMul with Add, then a Gemm with transposed weights. */
export function classifier([w1, b1, w2t, b2]: readonly [Tensor, Tensor, Tensor, Tensor], norm = false): Uint8Array {
  const [inner = 0] = w1.shape
  const constants: Record<string, Tensor> = { w1, b1, w2: w2t, b2 }
  const scaling: Node[] = []
  if (norm) {
    constants['mean'] = floats([inner], new Float32Array(inner).fill(0.25))
    constants['gain'] = floats([inner], new Float32Array(inner).fill(2))
    scaling.push(makeNode('Sub', ['x', 'mean'], ['x0']), makeNode('Mul', ['x0', 'gain'], ['x1']))
  }
  return modelOf({
    input: [spec('x', inner)],
    output: spec('p', b2.shape[0] ?? 0),
    node: [
      ...scaling,
      makeNode('MatMul', [norm ? 'x1' : 'x', 'w1'], ['m']),
      makeNode('Add', ['m', 'b1'], ['a']),
      makeNode('Relu', ['a'], ['h']),
      makeNode('Gemm', ['h', 'w2', 'b2'], ['l'], { transB: 1n }),
      makeNode('Softmax', ['l'], ['p'], { axis: -1n }),
    ],
    constants,
  })
}

/** Runs a model's only output for one set of inputs. */
export async function runOnce(runtime: Runtime, bytes: Uint8Array, inputs: Tensors): Promise<Float32Array> {
  const session = await runtime.load(bytes)
  try {
    const [name = ''] = signatureOf(readModel(bytes)).outputs.map((output) => output.name)
    const tensor = (await session.run(inputs))[name]
    if (tensor?.dtype !== 'float32') throw new Error('the fixture answers float32')
    return tensor.data
  } finally {
    await session.dispose()
  }
}
