import { create } from '@bufbuild/protobuf'
import type { Tensor } from '@tideway/core'
import { type Model, ModelSchema } from '../generated/onnx_pb.js'
import { makeNode } from './node.js'
import { valueInfo } from './signature.js'
import { fromTensor } from './tensor.js'

/** y = x · w, with the weights given. */
export function productModel(weights: Tensor): Model {
  return create(ModelSchema, {
    irVersion: 8n,
    opsetImport: [{ domain: '', version: 17n }],
    graph: {
      name: 'product',
      node: [makeNode('MatMul', ['x', 'w'], ['y'], {}, 'product')],
      initializer: [fromTensor('w', weights)],
      input: [valueInfo({ name: 'x', dtype: 'float32', shape: [null, weights.shape[0] ?? 1] })],
      output: [valueInfo({ name: 'y', dtype: 'float32', shape: [null, weights.shape[1] ?? 1] })],
    },
  })
}

/** Protobuf by hand: one length-delimited field. */
export function field(number: number, payload: Uint8Array | readonly number[]): Uint8Array {
  const head: number[] = []
  for (let value of [number * 8 + 2, payload.length]) {
    while (value >= 0x80) {
      head.push((value % 0x80) | 0x80)
      value = Math.floor(value / 0x80)
    }
    head.push(value)
  }
  return Uint8Array.from([...head, ...payload])
}
