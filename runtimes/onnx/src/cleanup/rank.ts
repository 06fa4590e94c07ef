import { attributesOf, operatorOf } from '../format/node.js'
import type { ValueInfo } from '../generated/onnx_pb.js'
import type { GraphView } from '../quantize/view.js'

/** Operators whose first output has as many dimensions as their first input. */
const ALIKE = new Set(
  'Identity Dropout Relu LeakyRelu Clip Sigmoid Tanh Elu Selu HardSigmoid HardSwish Softmax LogSoftmax BatchNormalization LayerNormalization MaxPool AveragePool GlobalAveragePool GlobalMaxPool Transpose Cast Pad'.split(
    ' ',
  ),
)

const BINARY = new Set(['Add', 'Sub', 'Mul', 'Div'])

/** The number of dimensions of values, where the graph says it or an operator implies it; undefined elsewhere. */
export function ranksOf(view: GraphView): (name: string | undefined) => number | undefined {
  const ranks = new Map<string, number | undefined>()
  for (const info of [...view.graph.input, ...view.graph.output, ...view.graph.valueInfo]) {
    const rank = declaredRank(info)
    if (rank !== undefined) ranks.set(info.name ?? '', rank)
  }
  for (const node of view.graph.node) {
    const output = node.output[0] ?? ''
    if (ranks.has(output)) continue
    const of = (place: number): number | undefined => {
      const name = node.input[place] ?? ''
      return ranks.get(name) ?? view.constant(name)?.shape.length
    }
    const type = operatorOf(node)
    if (ALIKE.has(type)) ranks.set(output, of(0))
    else if (type === 'Conv' || type === 'ConvTranspose') ranks.set(output, of(1) ?? of(0))
    else if (type === 'Gemm' || type === 'Flatten') ranks.set(output, 2)
    else if (type === 'MatMul') ranks.set(output, productRank(of(0), of(1)))
    else if (BINARY.has(type)) ranks.set(output, atMost(of(0), of(1)))
    else if (type === 'Reshape') ranks.set(output, view.constant(node.input[1])?.data.length)
    else if (type === 'Constant') {
      const { value } = attributesOf(node)
      ranks.set(output, typeof value === 'object' && 'dtype' in value ? value.shape.length : undefined)
    }
  }
  return (name = '') => ranks.get(name)
}

const atMost = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? undefined : Math.max(a, b)

/** A vector's dimension goes in a product: what is left has another rank than either. */
const productRank = (a: number | undefined, b: number | undefined): number | undefined =>
  a === 1 || b === 1 ? undefined : atMost(a, b)

function declaredRank(info: ValueInfo): number | undefined {
  const type = info.type?.value
  return type?.case === 'tensorType' ? type.value.shape?.dim.length : undefined
}
