import type { DataType } from '@tideway/core'
import { dataTypeOf } from '../../format/types.js'
import type { Graph, Node } from '../../generated/onnx_pb.js'
import { labelOf, subgraphsOf } from '../view.js'

/** Operators on integers that stand for real numbers. */
const INTEGER_OPERATORS =
  /^(Dynamic)?(Quantize|Dequantize)|^QLinear|^Q(Gemm|Attention|Embed|Ordered)|Integer(ToFloat)?$|NBits$|^GatherBlockQuantized$/

/** What makes numbers of integers; int8 and uint8 constants that others read are pixels, texts or masks. */
const EXPANDING = new Set(['Cast', 'Gather'])

/** Smaller ones are attributes of operators rather than weights. */
const WEIGHT_ELEMENTS = 16

/** Labels of the nodes by which a model is quantized already, in any of the forms that this package writes. */
export function quantizedNodes(graph: Graph): string[] {
  const small = new Map<string, DataType | undefined>()
  for (const { name = '', dims, dataType } of graph.initializer) {
    const elements = dims.reduce((product, size) => product * Number(size), 1)
    if (elements >= WEIGHT_ELEMENTS) small.set(name, dataTypeOf(dataType))
  }
  return [...found(graph, small)]
}

function* found(graph: Graph, constants: ReadonlyMap<string, DataType | undefined>): Generator<string> {
  for (const node of graph.node) {
    if (INTEGER_OPERATORS.test(node.opType ?? '') || expands(node, constants)) yield labelOf(node)
    for (const inner of subgraphsOf(node)) yield* found(inner, constants)
  }
}

function expands(node: Node, constants: ReadonlyMap<string, DataType | undefined>): boolean {
  return node.input.some((name) => {
    if (!constants.has(name)) return false
    const type = constants.get(name)
    // Types without a `DataType` have 4 or 8 bits, or are bfloat16.
    if (type === undefined || type === 'float16') return true
    return (type === 'int8' || type === 'uint8') && EXPANDING.has(node.opType ?? '')
  })
}
