import type { Tensor } from '@tideway/core'
import { attributesOf, makeNode } from '../format/node.js'
import type { Node } from '../generated/onnx_pb.js'
import { type GraphView, labelOf } from './view.js'

/** The tensors of a layer in the quantized graph; `rank` is the input's number of dimensions. */
export interface LayerTensors {
  readonly input: string
  readonly weight: string
  readonly bias: string | undefined
  readonly output: string
  readonly rank: number
}

/** Something with constant float weights that can be computed on integers. */
export interface Layer {
  readonly label: string
  /** The nodes that it replaces, in order. */
  readonly nodes: readonly Node[]
  readonly input: string
  readonly output: string
  /** Row-major [inner, outer]; each of the `outer` channels gets its own scale. */
  readonly weight: Float32Array
  readonly inner: number
  readonly outer: number
  /** One value per channel. */
  readonly bias: Float32Array | undefined
  emit(tensors: LayerTensors): Node[]
}

/** Finds the layer that begins at a node, or says why it stays in float. */
export type QuantizeRule = (node: Node, view: GraphView) => Layer | string

/**
 * How many products of 8 and 7 bits an int32 sum holds beside a bias of up to 2^30: (2^31 - 2^30) / (255 · 64).
 */
const MAX_INNER = 65_793

/** Operators that become integer, by name. One that is not here stays in float, for the reason in `KEPT`. */
export const RULES: Readonly<Record<string, QuantizeRule>> = {
  MatMul(node, view) {
    const weight = floatMatrix(view.constant(node.input[1]))
    if (weight === undefined) return 'its second input is not a constant float32 matrix'
    const bias = biasAfter(node, view, weight.outer)
    return checked(view, {
      ...weight,
      label: labelOf(node),
      nodes: bias === undefined ? [node] : [node, bias.add],
      input: node.input[0] ?? '',
      output: (bias?.add ?? node).output[0] ?? '',
      bias: bias?.values,
      emit: emitDense,
    })
  },

  Gemm(node, view) {
    const { alpha = 1, beta = 1, transA = 0n, transB = 0n } = attributesOf(node)
    if (transA !== 0n) return 'it transposes its first input'
    const weight = floatMatrix(view.constant(node.input[1]), transB !== 0n)
    if (weight === undefined) return 'its second input is not a constant float32 matrix'
    const name = node.input[2] ?? ''
    const bias = name === '' ? undefined : floatRow(view.constant(name), weight.outer)
    if (name !== '' && bias === undefined) return 'its bias is not a constant float32 per output'
    return checked(view, {
      ...weight,
      weight: scaled(weight.weight, Number(alpha)),
      label: labelOf(node),
      nodes: [node],
      input: node.input[0] ?? '',
      output: node.output[0] ?? '',
      bias: bias && scaled(bias, Number(beta)),
      emit: emitDense,
    })
  },
}

const TOO_COARSE = 'eight bits are too coarse for its result'
const ELEMENTWISE = 'elementwise work (a normalization, a rescaling) is exact in float and costs little'
const ACTIVATION = 'it has no weights; where a quantized layer follows, engines join it into the rounding'
const MOVES = 'it moves values and computes nothing'
const NORMALIZES = 'a normalization needs the precision of float'
const BRANCH = 'what is inside a branch or a loop stays in float'

/** Why operators without a rule stay in float. */
export const KEPT: Readonly<Record<string, string>> = {
  Softmax: TOO_COARSE,
  LogSoftmax: TOO_COARSE,
  Sigmoid: TOO_COARSE,
  Tanh: TOO_COARSE,
  Exp: TOO_COARSE,
  Log: TOO_COARSE,
  Add: ELEMENTWISE,
  Sub: ELEMENTWISE,
  Mul: ELEMENTWISE,
  Div: ELEMENTWISE,
  Relu: ACTIVATION,
  LeakyRelu: ACTIVATION,
  Clip: ACTIVATION,
  BatchNormalization: NORMALIZES,
  LayerNormalization: NORMALIZES,
  Cast: MOVES,
  Flatten: MOVES,
  Identity: MOVES,
  Reshape: MOVES,
  Squeeze: MOVES,
  Transpose: MOVES,
  Unsqueeze: MOVES,
  If: BRANCH,
  Loop: BRANCH,
  Scan: BRANCH,
}

/**
 * Gemm takes the bias into its integer sum but wants a matrix; for other ranks the product is one integer node, and the
 * bias is added to its result.
 */
function emitDense({ input, weight, bias, output, rank }: LayerTensors): Node[] {
  if (bias === undefined) return [makeNode('MatMul', [input, weight], [output])]
  if (rank === 2) return [makeNode('Gemm', [input, weight, bias], [output])]
  const product = `${output}_product`
  return [makeNode('MatMul', [input, weight], [product]), makeNode('Add', [product, bias], [output])]
}

function checked(view: GraphView, layer: Layer): Layer | string {
  if (view.constant(layer.input) !== undefined) return 'its input is constant too, so there is nothing to compute'
  if (layer.inner > MAX_INNER) return `a sum of ${layer.inner} products may leave 32 bits (at most ${MAX_INNER})`
  if (layer.weight.length === 0) return 'it has no weights'
  if (![layer.weight, layer.bias ?? []].every((values) => values.every(Number.isFinite)))
    return 'a weight is not finite'
  return layer
}

interface Matrix {
  readonly weight: Float32Array
  readonly inner: number
  readonly outer: number
}

function floatMatrix(tensor: Tensor | undefined, transposed = false): Matrix | undefined {
  if (tensor?.dtype !== 'float32' || tensor.shape.length !== 2) return undefined
  const [rows = 0, columns = 0] = tensor.shape
  if (!transposed) return { weight: tensor.data, inner: rows, outer: columns }
  const weight = new Float32Array(tensor.data.length)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++)
      weight[column * rows + row] = tensor.data[row * columns + column] ?? 0
  }
  return { weight, inner: columns, outer: rows }
}

/** A constant that broadcasts to one value per output, whatever the rows: shape [n], [1, n], [1] or []. */
function floatRow(tensor: Tensor | undefined, length: number): Float32Array | undefined {
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
  const values = constant !== undefined && constant.shape.length <= 1 ? floatRow(constant, length) : undefined
  return values && { add, values }
}

function scaled(values: Float32Array, factor: number): Float32Array {
  return factor === 1 ? values : values.map((value) => value * factor)
}
