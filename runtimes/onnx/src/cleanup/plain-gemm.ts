import type { Tensor } from '@tideway/core'
import { attributesOf, makeNode, operatorOf } from '../format/node.js'
import type { GraphView } from '../quantize/view.js'
import { labelOf } from '../quantize/view.js'
import type { Edit, Pass } from './edit.js'

/** A Gemm's factors and the transposition of its weights, where those are constant, go into the weights and the bias. */
export const plainGemm: Pass = (view, edit) => {
  for (const node of view.graph.node) {
    if (operatorOf(node) !== 'Gemm') continue
    const { alpha = 1, beta = 1, transA = 0n, transB = 0n } = attributesOf(node)
    const [input = '', weightName = '', biasName = ''] = node.input
    const weight = view.constant(weightName)
    const bias = view.constant(biasName)
    if (alpha === 1 && beta === 1 && transB === 0n) continue
    if (weight?.dtype !== 'float32' || weight.shape.length !== 2) continue
    if (biasName !== '' && beta !== 1 && bias?.dtype !== 'float32') continue
    if (!edit.claim(node)) continue
    const plain = scaled(transB === 0n ? weight : transposed(weight), Number(alpha))
    const inputs = [input, edit.constant(`${labelOf(node)}_weight`, plain)]
    if (biasName !== '')
      inputs.push(beta === 1 || bias === undefined ? biasName : addend(edit, node, bias, Number(beta)))
    edit.replace(node, makeNode('Gemm', inputs, node.output, transA === 0n ? {} : { transA: 1n }, node.name))
  }
}

const addend = (edit: Edit, node: GraphView['graph']['node'][number], bias: Tensor, beta: number): string =>
  edit.constant(`${labelOf(node)}_bias`, scaled(bias, beta))

function scaled(tensor: Tensor, factor: number): Tensor {
  if (tensor.dtype !== 'float32' || factor === 1) return tensor
  return { ...tensor, data: tensor.data.map((value) => value * factor) }
}

function transposed(tensor: Tensor & { readonly dtype: 'float32' }): Tensor {
  const [rows = 0, columns = 0] = tensor.shape
  const data = new Float32Array(tensor.data.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      data[column * rows + row] = tensor.data[row * columns + column] ?? 0
  return { dtype: 'float32', shape: [columns, rows], data }
}
