import { create } from '@bufbuild/protobuf'
import type { DataType, Signature, Tensor } from '@tideway/core'
import { fromTensor, ModelSchema, makeNode, type Node, valueInfo, writeModel } from '@tideway/onnx'

/** An ONNX file of these nodes and constants. */
export function modelBytes(
  signature: Signature,
  node: Node[],
  constants: Readonly<Record<string, Tensor>> = {},
): Uint8Array {
  return writeModel(
    create(ModelSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: '', version: 17n }],
      graph: {
        name: 'fixture',
        node,
        initializer: Object.entries(constants).map(([name, tensor]) => fromTensor(name, tensor)),
        input: signature.inputs.map((spec) => valueInfo(spec)),
        output: signature.outputs.map((spec) => valueInfo(spec)),
      },
    }),
  )
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

/** Gives back what it gets, of any element type. */
export function identityModel(dtype: DataType): Uint8Array {
  const spec = { dtype, shape: [null, 2] }
  const signature = { inputs: [{ name: 'x', ...spec }], outputs: [{ name: 'y', ...spec }] }
  return modelBytes(signature, [makeNode('Identity', ['x'], ['y'])])
}
