import type { Tensor } from '@tideway/core'
import { attributesOf, isStandard, makeNode, operatorOf } from '../format/node.js'
import type { Node } from '../generated/onnx_pb.js'
import { type GraphView, labelOf } from '../quantize/view.js'
import { floats } from './affine.js'
import type { Edit } from './edit.js'

/** A node with constant float32 weights that maps channels to channels, and maybe the Add that gives it its bias. */
export interface Linear {
  readonly node: Node
  /** A MatMul's bias is a node of its own. */
  readonly add: Node | undefined
  readonly input: string
  readonly output: string
  readonly weight: Tensor & { readonly dtype: 'float32' }
  readonly bias: Float32Array | undefined
  readonly outputs: number
  /** The axis of the output that holds the channels: from the front, or negative from the end. */
  readonly axis: number
  /** The output channel that a weight, by its place in `weight`, belongs to. */
  readonly channelOf: (place: number) => number
  /** Zeros that it sees around its input. */
  readonly isPadded: boolean
}

/** The linear node, with its bias, whose result is the given value; undefined where there is none. */
export function linearOf(value: string, view: GraphView): Linear | undefined {
  const node = view.producer(value)
  if (node === undefined || !isStandard(node)) return undefined
  if (node.opType === 'Conv' || node.opType === 'ConvTranspose') return convolution(node, view)
  if (node.opType === 'Gemm') return gemm(node, view)
  if (node.opType === 'MatMul') return matMul(node, undefined, view)
  if (node.opType !== 'Add') return undefined
  const [left = '', right = ''] = node.input
  const product = view.constant(left) === undefined ? left : right
  const before = view.producer(product)
  const isAlone = view.consumers(product).length === 1 && !view.escapes(product)
  return operatorOf(before) === 'MatMul' && before !== undefined && isAlone ? matMul(before, node, view) : undefined
}

function convolution(node: Node, view: GraphView): Linear | undefined {
  const weight = view.constant(node.input[1])
  const bias = biasOf(node.input[2], view)
  if (weight?.dtype !== 'float32' || weight.shape.length < 3 || bias === null) return undefined
  const { group = 1n, pads = [], auto_pad: auto = 'NOTSET' } = attributesOf(node)
  const [first = 0, second = 0] = weight.shape
  const kernel = weight.data.length / (first * second)
  const groups = Number(group)
  const isTransposed = node.opType === 'ConvTranspose'
  const perGroup = first / groups
  const channelOf = isTransposed
    ? (place: number): number => {
        const input = Math.floor(place / (second * kernel))
        return Math.floor(input / perGroup) * second + (Math.floor(place / kernel) % second)
      }
    : (place: number): number => Math.floor(place / (second * kernel))
  return {
    node,
    add: undefined,
    input: node.input[0] ?? '',
    output: node.output[0] ?? '',
    weight,
    bias,
    outputs: isTransposed ? second * groups : first,
    axis: 1,
    channelOf,
    isPadded:
      (auto !== 'NOTSET' && auto !== 'VALID') || (pads as readonly bigint[]).some((pad) => pad !== 0n) || isTransposed,
  }
}

function gemm(node: Node, view: GraphView): Linear | undefined {
  const weight = view.constant(node.input[1])
  const { alpha = 1, beta = 1, transA = 0n, transB = 0n } = attributesOf(node)
  if (weight?.dtype !== 'float32' || weight.shape.length !== 2 || transA !== 0n || alpha !== 1 || beta !== 1)
    return undefined
  const outputs = weight.shape[transB === 0n ? 1 : 0] ?? 0
  const inner = weight.shape[transB === 0n ? 0 : 1] ?? 0
  const bias = biasOf(node.input[2], view, outputs)
  if (bias === null) return undefined
  const channelOf = transB === 0n ? (place: number) => place % outputs : (place: number) => Math.floor(place / inner)
  const [input = ''] = node.input
  const [output = ''] = node.output
  return { node, add: undefined, input, output, weight, bias, outputs, axis: -1, channelOf, isPadded: false }
}

function matMul(node: Node, add: Node | undefined, view: GraphView): Linear | undefined {
  const weight = view.constant(node.input[1])
  if (weight?.dtype !== 'float32' || weight.shape.length !== 2) return undefined
  const outputs = weight.shape[1] ?? 0
  const addend = add && (add.input[0] === node.output[0] ? add.input[1] : add.input[0])
  const bias = biasOf(addend, view, outputs)
  // [n] or a scalar keeps the product's shape, whatever its rank; [1, n] would lift a vector to a matrix.
  if (bias === null || (addend !== undefined && (view.constant(addend)?.shape.length ?? 2) > 1)) return undefined
  const channelOf = (place: number): number => place % outputs
  const output = (add ?? node).output[0] ?? ''
  return { node, add, input: node.input[0] ?? '', output, weight, bias, outputs, axis: -1, channelOf, isPadded: false }
}

/** A bias of one value per output; null for one that is not constant or has another shape. */
function biasOf(name = '', view: GraphView, outputs?: number): Float32Array | undefined | null {
  if (name === '') return undefined
  const tensor = view.constant(name)
  const values = floats(tensor)
  if (tensor === undefined || values === undefined) return null
  if (outputs === undefined) return tensor.shape.length === 1 ? values : null
  if (tensor.shape.slice(0, -1).some((size) => size !== 1) || tensor.shape.length > 2) return null
  if (values.length === outputs) return values
  return values.length === 1 ? new Float32Array(outputs).fill(values[0] ?? 0) : null
}

/** Puts a linear node with other weights in its place, giving `output`; the nodes of the old one must be claimed. */
export function replaceLinear(
  edit: Edit,
  old: Linear,
  parts: { readonly weight: Float32Array; readonly bias: Float32Array | undefined; readonly output: string },
  last: Node,
): void {
  const { node } = old
  const label = labelOf(node)
  const weight = edit.constant(`${label}_weight`, { ...old.weight, data: parts.weight } as Tensor)
  const bias =
    parts.bias && edit.constant(`${label}_bias`, { dtype: 'float32', shape: [parts.bias.length], data: parts.bias })
  for (const gone of [node, old.add, last]) if (gone !== undefined) edit.replace(gone)
  const attributes = attributesOf(node)
  const [input = ''] = node.input
  if (node.opType !== 'MatMul' || bias === undefined) {
    const inputs = bias === undefined ? [input, weight] : [input, weight, bias]
    edit.replace(last, makeNode(node.opType ?? '', inputs, [parts.output], attributes, node.name))
    return
  }
  const product = node.output[0] === parts.output ? `${parts.output}_product` : (node.output[0] ?? '')
  edit.replace(
    last,
    makeNode('MatMul', [input, weight], [product], {}, node.name),
    makeNode('Add', [product, bias], [parts.output], {}, old.add?.name),
  )
}
