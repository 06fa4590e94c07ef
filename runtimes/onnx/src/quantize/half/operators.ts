import { attributesOf } from '../../format/node.js'
import type { Node } from '../../generated/onnx_pb.js'

/** Which of an operator's inputs are numbers of its type, as indices; the first alone if left out. */
interface HalfOperator {
  readonly inputs?: 'all' | readonly number[]
  /** It has weights and is worth a cast of its input; others go along with a neighbour that is float16 already. */
  readonly leads?: true
  /** Outputs of its type; the first alone if left out. */
  readonly outputs?: 'all'
}

const along: HalfOperator = {}
const all: HalfOperator = { inputs: 'all' }
const product: HalfOperator = { inputs: 'all', leads: true }

/** Operators that are computed in float16. */
export const HALF: Readonly<Record<string, HalfOperator>> = {
  MatMul: product,
  Gemm: product,
  Conv: product,
  ConvTranspose: product,
  Gather: along,
  Add: all,
  Sub: all,
  Mul: all,
  Div: all,
  Min: all,
  Max: all,
  Neg: along,
  Abs: along,
  Relu: along,
  LeakyRelu: along,
  PRelu: all,
  Clip: all,
  Elu: along,
  HardSigmoid: along,
  HardSwish: along,
  Sigmoid: along,
  Tanh: along,
  Concat: all,
  Split: { outputs: 'all' },
  Where: { inputs: [1, 2] },
  Pad: { inputs: [0, 2] },
  MaxPool: along,
  Dropout: along,
  DepthToSpace: along,
  Expand: along,
  Flatten: along,
  Identity: along,
  Reshape: along,
  Shape: along,
  Slice: along,
  SpaceToDepth: along,
  Squeeze: along,
  Tile: along,
  Transpose: along,
  Unsqueeze: along,
}

const NORMALIZES = 'a normalization needs the range and precision of float32'
const SUMS = 'a sum of many values loses too much in float16'
const GROWS = 'its results can leave the range of float16'
const NO_KERNEL = 'engines have no float16 kernel for it'
const BRANCH = 'what is inside a branch or a loop stays in float32'

/** Why other operators stay in float32. */
const KEPT: Readonly<Record<string, string>> = {
  BatchNormalization: NORMALIZES,
  InstanceNormalization: NORMALIZES,
  LayerNormalization: NORMALIZES,
  GroupNormalization: NORMALIZES,
  RMSNormalization: NORMALIZES,
  MeanVarianceNormalization: NORMALIZES,
  LpNormalization: NORMALIZES,
  LRN: NORMALIZES,
  Softmax: SUMS,
  LogSoftmax: SUMS,
  ReduceSum: SUMS,
  ReduceMean: SUMS,
  ReduceL1: SUMS,
  ReduceL2: SUMS,
  ReduceLogSum: SUMS,
  ReduceLogSumExp: SUMS,
  ReduceProd: SUMS,
  ReduceSumSquare: SUMS,
  CumSum: SUMS,
  Sum: SUMS,
  Mean: SUMS,
  AveragePool: SUMS,
  GlobalAveragePool: SUMS,
  LpPool: SUMS,
  Einsum: SUMS,
  Exp: GROWS,
  Log: GROWS,
  Pow: GROWS,
  Reciprocal: GROWS,
  Softplus: GROWS,
  Sqrt: GROWS,
  Resize: NO_KERNEL,
  Upsample: NO_KERNEL,
  LSTM: NO_KERNEL,
  GRU: NO_KERNEL,
  RNN: NO_KERNEL,
  If: BRANCH,
  Loop: BRANCH,
  Scan: BRANCH,
}

export const keptReason = ({ opType = '', domain = '' }: Node): string =>
  (domain === '' && Object.hasOwn(KEPT, opType) ? KEPT[opType] : undefined) ?? `there is no float16 rule for ${opType}`

export const halfOperatorOf = ({ opType = '', domain = '' }: Node): HalfOperator | undefined =>
  domain === '' && Object.hasOwn(HALF, opType) ? HALF[opType] : undefined

/** The names of a node's inputs that are numbers of its type. */
export function numbersOf(node: Node, { inputs = [0] }: HalfOperator): string[] {
  const names = inputs === 'all' ? node.input : inputs.map((index) => node.input[index] ?? '')
  return names.filter((name) => name !== '')
}

/** The attribute of older operator sets that holds a value which float16 may not: Pad's and Clip's. */
export function attributeNumbers(node: Node): Float32Array {
  const values = ['value', 'min', 'max'].map((name) => attributesOf(node)[name])
  return Float32Array.from(values.filter((value) => typeof value === 'number'))
}
