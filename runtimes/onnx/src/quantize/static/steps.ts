import { type Limits, limitsOf } from '../../cleanup/activations.js'
import { type Linear, linearOf } from '../../cleanup/linear.js'
import { attributesOf, isStandard } from '../../format/node.js'
import type { Node } from '../../generated/onnx_pb.js'
import { type GraphView, labelOf } from '../view.js'

/**
 * What may be computed on integers: a layer with constant weights; two tensors added, multiplied or matrix-multiplied; a
 * mean over places; values joined; and what moves values or picks some of them, which needs no arithmetic at all.
 */
export interface Step {
  readonly kind: 'linear' | 'add' | 'multiply' | 'product' | 'pool' | 'concat' | 'pass'
  readonly label: string
  /** The node that computes, without what is absorbed into it. */
  readonly node: Node
  /** All nodes that it stands for, in the graph's order: a bias, an activation whose limits the integers' own are. */
  readonly nodes: readonly Node[]
  /** The tensors that it takes as integers. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly linear?: Linear
  readonly limits?: Limits
}

/** How many products of 8 bits an int32 sum holds beside a bias of up to 2^30: (2^31 - 2^30) / (255 · 127). */
const MAX_INNER = 33_155

/** Finds the step that begins at a node, or says why it stays in float. */
type StepRule = (node: Node, view: GraphView) => Step | string

const CONSTANT_INPUT = 'its input is constant too, so there is nothing to compute'

const linear: StepRule = (node, view) => {
  const output = node.output[0] ?? ''
  const [next, ...others] = view.consumers(output)
  const biased =
    node.opType === 'MatMul' && next?.opType === 'Add' && others.length === 0
      ? linearOf(next.output[0] ?? '', view)
      : undefined
  const found = biased?.node === node ? biased : linearOf(output, view)
  if (found === undefined) return weightless(node, view)
  const { weight, bias, outputs } = found
  if (view.constant(found.input) !== undefined) return CONSTANT_INPUT
  const inner = weight.data.length / outputs
  if (inner > MAX_INNER) return `a sum of ${inner} products may leave 32 bits (at most ${MAX_INNER})`
  if (weight.data.length === 0) return 'it has no weights'
  if (![weight.data, bias ?? []].every((values) => values.every(Number.isFinite))) return 'a weight is not finite'
  if (node.opType === 'Gemm' && attributesOf(node)['transB'] === 1n) return 'its weights are transposed when it runs'
  return withActivation(view, {
    kind: 'linear',
    label: labelOf(node),
    node,
    nodes: found.add === undefined ? [node] : [node, found.add],
    inputs: [found.input],
    outputs: [found.output],
    linear: found,
  })
}

/** What stands in the way of a layer; a product of two tensors that are computed is a step of its own. */
function weightless(node: Node, view: GraphView): Step | string {
  const [left = '', right = ''] = node.input
  if (node.opType === 'MatMul' && view.constant(left) === undefined && view.constant(right) === undefined)
    return step('product', node, [left, right])
  if (node.opType === 'Gemm' && (attributesOf(node)['transA'] ?? 0n) !== 0n) return 'it transposes its first input'
  const weight = view.constant(right)
  if (weight === undefined) return 'its second input is not a constant float32 matrix'
  const isFloat = weight.dtype === 'float32' && (node.opType === 'Conv' || weight.shape.length === 2)
  return isFloat ? 'its bias is not a constant float32 per output' : 'its second input is not a constant float32 matrix'
}

function step(kind: Step['kind'], node: Node, inputs: readonly string[]): Step {
  return { kind, label: labelOf(node), node, nodes: [node], inputs, outputs: node.output.filter(Boolean) }
}

/** Two tensors of computed values; arithmetic with a constant is exact in float and costs little. */
const both =
  (kind: 'add' | 'multiply'): StepRule =>
  (node, view) => {
    const inputs = node.input.slice(0, 2)
    if (inputs.some((name) => view.constant(name) !== undefined)) return ELEMENTWISE
    return withActivation(view, step(kind, node, inputs))
  }

/** One tensor of values, and maybe constants that say how they move. */
const pass: StepRule = (node, view) => {
  const [input = '', ...others] = node.input
  if (view.constant(input) !== undefined) return CONSTANT_INPUT
  if (others.some((name) => name !== '' && view.constant(name) === undefined)) return `${MOVES}, as the values say`
  return step('pass', node, [input])
}

const RULES: Readonly<Record<string, StepRule>> = {
  Conv: linear,
  Gemm: linear,
  MatMul: linear,
  Add: both('add'),
  Mul: both('multiply'),
  GlobalAveragePool: (node) => step('pool', node, node.input),
  AveragePool: (node) => {
    const { ceil_mode: ceil = 0n, count_include_pad: pad = 0n, dilations } = attributesOf(node)
    return ceil !== 0n || pad !== 0n || dilations !== undefined
      ? 'there is no integer form of its rounding and padding'
      : step('pool', node, node.input)
  },
  Concat: (node, view) =>
    node.input.some((name) => view.constant(name) !== undefined)
      ? 'a constant is among what it joins'
      : step('concat', node, node.input),
  MaxPool: (node) =>
    node.output[1] ? 'it also gives the places of the largest values' : step('pass', node, node.input),
  Reshape: pass,
  Flatten: pass,
  Transpose: pass,
  Squeeze: pass,
  Unsqueeze: pass,
  Slice: pass,
  Split: pass,
  DepthToSpace: pass,
  SpaceToDepth: pass,
  Identity: pass,
  Resize: (node, view) =>
    attributesOf(node)['mode'] === undefined || attributesOf(node)['mode'] === 'nearest'
      ? pass(node, view)
      : 'it computes between its values',
}

const TOO_COARSE = 'eight bits are too coarse for its result'
const ELEMENTWISE = 'arithmetic with a constant (a normalization, a rescaling) is exact in float and costs little'
const ACTIVATION = 'nothing before it can take it in'
const MOVES = 'it moves values and computes nothing'
const NORMALIZES = 'a normalization needs the precision of float'
const BRANCH = 'what is inside a branch or a loop stays in float'
const RECURRENT = 'a recurrent layer has no integer form with fixed ranges; quantize it dynamically'

/** Why operators without a rule stay in float. */
const KEPT: Readonly<Record<string, string>> = {
  Softmax: TOO_COARSE,
  LogSoftmax: TOO_COARSE,
  Sigmoid: TOO_COARSE,
  Tanh: TOO_COARSE,
  Exp: TOO_COARSE,
  Log: TOO_COARSE,
  Sub: ELEMENTWISE,
  Div: ELEMENTWISE,
  Relu: ACTIVATION,
  LeakyRelu: ACTIVATION,
  Clip: ACTIVATION,
  BatchNormalization: NORMALIZES,
  LayerNormalization: NORMALIZES,
  InstanceNormalization: NORMALIZES,
  Cast: MOVES,
  If: BRANCH,
  Loop: BRANCH,
  Scan: BRANCH,
  LSTM: RECURRENT,
  GRU: RECURRENT,
  RNN: RECURRENT,
}

export function stepOf(node: Node, view: GraphView): Step | string {
  const name = node.opType ?? ''
  const known = <T>(table: Readonly<Record<string, T>>): T | undefined =>
    isStandard(node) && Object.hasOwn(table, name) ? table[name] : undefined
  return known(RULES)?.(node, view) ?? known(KEPT) ?? `there is no integer rule for ${name}`
}

/**
 * Takes in the Relu or Clip that is a step's only reader: integers begin and end where it does. A Clip must let zero
 * through, which every range of integers holds.
 */
function withActivation(view: GraphView, found: Step): Step {
  const [output = ''] = found.outputs
  const [next, ...others] = view.consumers(output)
  const limits = limitsOf(next, view)
  if (next === undefined || limits === undefined || others.length > 0 || view.escapes(output)) return found
  if (limits.min > 0 || limits.max < 0) return found
  return { ...found, nodes: [...found.nodes, next], outputs: [next.output[0] ?? ''], limits }
}
