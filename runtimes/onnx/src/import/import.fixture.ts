import { create } from '@bufbuild/protobuf'
import type { DataType, Tensor, TensorSpec } from '@tideway/core'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { GraphBuilder } from '../build/graph-builder.js'
import { valueInfo } from '../format/signature.js'
import { fromTensor } from '../format/tensor.js'
import { writeModel } from '../format/write.js'
import { type Model, ModelSchema, type Node } from '../generated/onnx_pb.js'
import { emit } from './emit.js'
import { importModel } from './import.js'

export interface Parts {
  readonly opset: number
  readonly nodes: readonly Node[]
  readonly tensors?: Readonly<Record<string, Tensor>>
  readonly inputs?: readonly TensorSpec[]
  readonly outputs?: readonly TensorSpec[]
}

export const spec = (name: string, shape: readonly (number | null)[], dtype: DataType = 'float32'): TensorSpec => ({
  name,
  dtype,
  shape,
})

/** A model of any operator set, by hand; x goes in and y comes out where nothing else is said. */
export function modelOf({ opset, nodes, tensors = {}, inputs, outputs }: Parts): Model {
  return create(ModelSchema, {
    irVersion: 8n,
    opsetImport: [
      { domain: '', version: BigInt(opset) },
      { domain: 'com.microsoft', version: 1n },
    ],
    graph: {
      name: 'parts',
      node: [...nodes],
      initializer: Object.entries(tensors).map(([name, tensor]) => fromTensor(name, tensor)),
      input: (inputs ?? [spec('x', [2, 3, 4])]).map(valueInfo),
      output: (outputs ?? [spec('y', [null, null, null])]).map(valueInfo),
    },
  })
}

export const f32 = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
})

export const i64 = (...values: readonly number[]): Tensor => ({
  dtype: 'int64',
  shape: [values.length],
  data: BigInt64Array.from(values.map(BigInt)),
})

export function wave(shape: readonly number[], phase = 0): Tensor {
  const count = shape.reduce((product, size) => product * size, 1)
  return f32(
    Array.from({ length: count }, (_, at) => Math.sin(at * 1.7 + phase) * 1.5),
    shape,
  )
}

/** The model after import and writing: its own inputs and outputs, operators of set 17. */
export function copied(
  source: Uint8Array | Model,
  shapes: Readonly<Record<string, readonly (number | null)[]>> = {},
): Model {
  const model = importModel(source)
  const g = new GraphBuilder('copy')
  const inputs = new Map(
    model.inputs.map(({ name, dtype, shape }) => [name, g.input(name, dtype, shapes[name] ?? shape)] as const),
  )
  for (const [name, value] of emit(g, model, { inputs, nameOf: (value) => `in/${value}` })) g.output(name, value)
  return g.build()
}

export async function run(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, number[]>> {
  const session = await InferenceSession.create(writeModel(model), { intraOpNumThreads: 1, logSeverityLevel: 3 })
  const given = Object.entries(feeds).map(
    ([name, { dtype, data, shape }]) => [name, new OrtTensor(dtype as 'float32', data as Float32Array, shape)] as const,
  )
  const out = await session.run(Object.fromEntries(given))
  await session.release()
  return Object.fromEntries(
    Object.entries(out).map(([name, tensor]) => [name, Array.from(tensor.data as Float32Array, Number)]),
  )
}
