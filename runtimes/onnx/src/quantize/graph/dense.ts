import type { Tensor } from '@tideway/core'
import { attributesOf, makeNode } from '../../format/node.js'
import type { Node } from '../../generated/onnx_pb.js'
import { type GraphView, labelOf } from '../view.js'
import type { GraphEdit } from './edit.js'

/** A product with a constant matrix, and its bias: y = x · w + b. */
export interface Dense {
  readonly label: string
  /** The product, and the Add of its bias where that is a node of its own. */
  readonly nodes: readonly Node[]
  readonly input: string
  readonly output: string
  /** [inner, outer], row-major, with a Gemm's alpha in it. */
  readonly weight: Float32Array
  readonly inner: number
  readonly outer: number
  /** One value per output, with a Gemm's beta in it. */
  readonly bias: Float32Array | undefined
  /** The same for layers that share these weights. */
  readonly weightKey: string
}

/** The dense layer of a MatMul or Gemm, or why it is none. */
export function denseOf(node: Node, view: GraphView): Dense | string {
  const found = node.opType === 'Gemm' ? ofGemm(node, view) : ofMatMul(node, view)
  if (typeof found === 'string') return found
  if (view.constant(found.input) !== undefined) return 'its input is constant too, so there is nothing to compute'
  if (found.weight.length === 0) return 'it has no weights'
  if (![found.weight, found.bias ?? []].every((values) => values.every(Number.isFinite)))
    return 'a weight is not finite'
  return found
}

const NO_MATRIX = 'its second input is not a constant float32 matrix'

function ofMatMul(node: Node, view: GraphView): Dense | string {
  const [input = '', name = ''] = node.input
  const matrix = matrixOf(view.constant(name))
  if (matrix === undefined) return NO_MATRIX
  const bias = biasAfter(node, view, matrix.outer)
  const nodes = bias === undefined ? [node] : [node, bias.add]
  const output = nodes.at(-1)?.output[0] ?? ''
  return { ...matrix, label: labelOf(node), nodes, input, output, bias: bias?.values, weightKey: name }
}

function ofGemm(node: Node, view: GraphView): Dense | string {
  const { alpha = 1, beta = 1, transA = 0n, transB = 0n } = attributesOf(node)
  const [input = '', name = '', biasName = ''] = node.input
  if (transA !== 0n) return 'it transposes its first input'
  const matrix = matrixOf(view.constant(name), transB !== 0n)
  if (matrix === undefined) return NO_MATRIX
  const bias = biasName === '' ? undefined : rowOf(view.constant(biasName), matrix.outer)
  if (biasName !== '' && bias === undefined) return 'its bias is not a constant float32 per output'
  return {
    ...matrix,
    weight: scaled(matrix.weight, Number(alpha)),
    label: labelOf(node),
    nodes: [node],
    input,
    output: node.output[0] ?? '',
    bias: bias && scaled(bias, Number(beta)),
    weightKey: [name, Number(transB), Number(alpha)].join(' '),
  }
}

/** Puts nodes that make a layer's product, under the name they are given, in its place, and the bias behind them. */
export function replaceDense(edit: GraphEdit, layer: Dense, productOf: (output: string) => readonly Node[]): void {
  const { bias, outer, output, nodes } = layer
  const product = bias === undefined ? output : edit.fresh(`${output}_p`)
  const made = [...productOf(product)]
  if (bias !== undefined) {
    const constant = edit.constant(`${output}_b`, { dtype: 'float32', shape: [outer], data: bias })
    made.push(makeNode('Add', [product, constant], [output]))
  }
  for (const node of nodes) edit.replace(node, node === nodes.at(-1) ? made : [])
}

interface Matrix {
  readonly weight: Float32Array
  readonly inner: number
  readonly outer: number
}

function matrixOf(tensor: Tensor | undefined, transposed = false): Matrix | undefined {
  if (tensor?.dtype !== 'float32' || tensor.shape.length !== 2) return undefined
  const [rows = 0, columns = 0] = tensor.shape
  if (!transposed) return { weight: tensor.data, inner: rows, outer: columns }
  return { weight: transpose(tensor.data, [rows, columns]), inner: columns, outer: rows }
}

/** A row-major matrix with its axes exchanged. */
export function transpose<T extends Float32Array | Int8Array | Uint8Array>(
  values: T,
  [rows, columns]: readonly [number, number],
): T {
  const turned = values.slice() as T
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column] ?? 0
  }
  return turned
}

/** A constant that broadcasts to one value per output, whatever the rows: shape [n], [1, n], [1] or []. */
function rowOf(tensor: Tensor | undefined, length: number): Float32Array | undefined {
  if (tensor?.dtype !== 'float32' || tensor.shape.slice(0, -1).some((size) => size !== 1)) return undefined
  if (tensor.data.length === length) return tensor.data
  return tensor.data.length === 1 ? new Float32Array(length).fill(tensor.data[0] ?? 0) : undefined
}

/** The Add that gives a product its bias, when nothing else sees the product. */
function biasAfter(node: Node, view: GraphView, length: number) {
  const product = node.output[0] ?? ''
  const [add, ...others] = view.consumers(product)
  if (add?.opType !== 'Add' || others.length > 0 || view.escapes(product)) return undefined
  const constant = view.constant(add.input[0] === product ? add.input[1] : add.input[0])
  // [n] or a scalar keeps the product's shape, whatever its rank; [1, n] would lift a vector to a matrix.
  const values = constant !== undefined && constant.shape.length <= 1 ? rowOf(constant, length) : undefined
  return values && { add, values }
}

function scaled(values: Float32Array, factor: number): Float32Array {
  return factor === 1 ? values : values.map((value) => value * factor)
}
