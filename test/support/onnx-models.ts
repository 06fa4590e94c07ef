import type { DataType, Signature, Tensor, Tensors } from '@tideway/core'
import { fromTensor, GraphBuilder, graphOf, makeNode, type Node, readModel, valueInfo, writeModel } from '@tideway/onnx'

/** An ONNX file of these nodes and constants, whatever a builder would say of them. */
export function modelBytes(
  signature: Signature,
  node: Node[],
  constants: Readonly<Record<string, Tensor>> = {},
): Uint8Array {
  const model = new GraphBuilder('fixture').build()
  Object.assign(graphOf(model), {
    node,
    initializer: Object.entries(constants).map(([name, tensor]) => fromTensor(name, tensor)),
    input: signature.inputs.map((spec) => valueInfo(spec)),
    output: signature.outputs.map((spec) => valueInfo(spec)),
  })
  return writeModel(model)
}

export const floats = (shape: number[], values: Iterable<number>): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
})

export const affineSignature: Signature = {
  inputs: [
    { name: 'x', dtype: 'float32', shape: [null, 3] },
    { name: 'shift', dtype: 'float32', shape: [2] },
  ],
  outputs: [{ name: 'y', dtype: 'float32', shape: [null, 2] }],
}

/** y = x · [[1, 2], [3, 4], [5, 6]] + shift */
export function affineModel(): Uint8Array {
  const nodes = [makeNode('MatMul', ['x', 'w'], ['xw']), makeNode('Add', ['xw', 'shift'], ['y'])]
  return modelBytes(affineSignature, nodes, { w: floats([3, 2], [1, 2, 3, 4, 5, 6]) })
}

/** The affine model with what it answers, exactly: for the contract of runtimes that load ONNX. */
export const affine = () => ({
  model: affineModel(),
  signature: affineSignature,
  cases: [
    {
      inputs: { x: floats([1, 3], [1, 0, -1]), shift: floats([2], [0.5, -0.5]) },
      outputs: { y: floats([1, 2], [-3.5, -4.5]) },
    },
    {
      inputs: { x: floats([3, 3], [1, 1, 1, 0, 0, 0, 0, 2, 0]), shift: floats([2], [0, 0]) },
      outputs: { y: floats([3, 2], [9, 12, 0, 0, 6, 8]) },
    },
    { inputs: { x: floats([0, 3], []), shift: floats([2], [0, 0]) }, outputs: { y: floats([0, 2], []) } },
  ] satisfies { inputs: Tensors; outputs: Tensors }[],
})

/** Gives back what it gets, of any element type. */
export function identityModel(dtype: DataType): Uint8Array {
  const spec = { dtype, shape: [null, 2] }
  const signature = { inputs: [{ name: 'x', ...spec }], outputs: [{ name: 'y', ...spec }] }
  return modelBytes(signature, [makeNode('Identity', ['x'], ['y'])])
}

/** One tensor of each element type that ONNX Runtime's JavaScript API has, with the extremes of its range. */
export const everyType: { readonly [T in Exclude<DataType, 'bfloat16'>]: Tensor } = {
  float32: { dtype: 'float32', shape: [1, 2], data: Float32Array.of(1.5, -2) },
  float64: { dtype: 'float64', shape: [1, 2], data: Float64Array.of(Math.PI, -2) },
  float16: { dtype: 'float16', shape: [1, 2], data: Uint16Array.of(0x3c00, 0xc000) },
  int8: { dtype: 'int8', shape: [1, 2], data: Int8Array.of(-128, 127) },
  uint8: { dtype: 'uint8', shape: [1, 2], data: Uint8Array.of(0, 255) },
  int16: { dtype: 'int16', shape: [1, 2], data: Int16Array.of(-32768, 32767) },
  uint16: { dtype: 'uint16', shape: [1, 2], data: Uint16Array.of(0, 65535) },
  int32: { dtype: 'int32', shape: [1, 2], data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1) },
  uint32: { dtype: 'uint32', shape: [1, 2], data: Uint32Array.of(0, 2 ** 32 - 1) },
  int64: { dtype: 'int64', shape: [1, 2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n) },
  uint64: { dtype: 'uint64', shape: [1, 2], data: BigUint64Array.of(0n, 2n ** 64n - 1n) },
  bool: { dtype: 'bool', shape: [1, 2], data: Uint8Array.of(0, 1) },
  string: { dtype: 'string', shape: [1, 2], data: ['', 'tide ~ 潮'] },
}

/** A GRU over rows of three steps of two numbers: ONNX Runtime's kernel ends the process for a batch of none. */
export function recurrentModel(): Uint8Array {
  const g = new GraphBuilder('recurrent')
  const rows = g.input('x', 'float32', [null, 3, 2])
  const steps = g.op('Transpose', [rows], { perm: [1n, 0n, 2n] })
  const weights = (name: string, width: number) =>
    g.initializer(name, floats([1, 6, width], new Float32Array(6 * width).fill(0.1)))
  const last = g.ops('GRU', [steps, weights('w', 2), weights('r', 2)], { hidden_size: 2n }, { outputs: 2 })[1]
  const to = g.constant({ dtype: 'int64', shape: [2], data: BigInt64Array.of(-1n, 2n) })
  g.output('y', g.op('Reshape', [last, to]))
  return writeModel(g.build())
}

/** y = x · w of float32 [?, 2], where w is one number, or lies in a file beside the model: its first four bytes. */
export function scalingModel(w: number | { readonly location: string }): Uint8Array {
  const spec = { dtype: 'float32', shape: [null, 2] } as const
  const signature = { inputs: [{ name: 'x', ...spec }], outputs: [{ name: 'y', ...spec }] }
  const nodes = [makeNode('Mul', ['x', 'w'], ['y'])]
  if (typeof w === 'number') return modelBytes(signature, nodes, { w: floats([1], [w]) })
  const model = readModel(modelBytes(signature, nodes, { w: floats([1], [0]) }))
  const [tensor] = graphOf(model).initializer
  Object.assign(tensor!, {
    rawData: new Uint8Array(),
    dataLocation: 1,
    externalData: [{ $typeName: 'tideway.onnx.StringStringEntry', key: 'location', value: w.location }],
  })
  return writeModel(model)
}
