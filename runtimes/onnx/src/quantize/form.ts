import type { Variant } from '@tideway/core'
import { attributesOf } from '../format/node.js'
import { tensorsOf } from '../format/read.js'
import { ELEMENT_TYPE } from '../format/types.js'
import type { Graph, Model, Node } from '../generated/onnx_pb.js'
import { operatorNeed } from './scheme.js'
import { subgraphsOf } from './view.js'

const INT8 =
  /^(QLinear|Quantize|Dequantize|DynamicQuantize)|^(MatMulInteger|MatMulIntegerToFloat|ConvInteger|QGemm|QAttention|QEmbedLayerNormalization)$/
/** ONNX's own domain, and that of ONNX Runtime's operators. */
const DOMAINS: readonly string[] = ['', 'ai.onnx', 'com.microsoft']
/** TensorProto.DataType of unsigned and signed integers of four bits. */
const INT4: readonly (number | undefined)[] = [21, 22]
const FORMS: Readonly<Record<number, 'fp32' | 'fp16' | 'int8'>> = {
  [ELEMENT_TYPE.float32]: 'fp32',
  [ELEMENT_TYPE.float64]: 'fp32',
  [ELEMENT_TYPE.float16]: 'fp16',
  [ELEMENT_TYPE.int8]: 'int8',
  [ELEMENT_TYPE.uint8]: 'int8',
}
/** Those of ONNX Runtime's own operators that not all of its builds have. */
const OWN: readonly string[] = ['MatMulNBits', 'DynamicQuantizeLSTM']

/** What a device must be able to do for a model: its precision, and abilities as in `Variant.requires`. */
export interface ModelForm {
  readonly precision: Variant['precision']
  readonly requires: readonly string[]
}

/**
 * The form of any ONNX file, by its operators and the types of its tensors: `int4` where weights of four bits are (tensors of
 * that type, or `MatMulNBits`), else `int8` where an operator quantizes or takes what is quantized, else by what most stored
 * numbers are: bytes, halves or more.
 *
 * @example
 * formOf(readModel(await readFile('digits.int8.onnx'))) // { precision: 'int8', requires: [] }
 */
export function formOf(model: Model): ModelForm {
  const nodes = [...nodesIn(model.graph), ...model.functions.flatMap(({ node }) => node.flatMap(withInner))]
  const own = nodes.filter(({ domain }) => domain === 'com.microsoft')
  const requires = OWN.filter((name) => own.some(({ opType }) => opType === name)).map(operatorNeed)
  return { precision: precisionIn(model, nodes, own), requires }
}

function precisionIn(model: Model, nodes: readonly Node[], own: readonly Node[]): Variant['precision'] {
  const tensors = [...tensorsOf(model)]
  const packed = own
    .filter(({ opType }) => opType === 'MatMulNBits')
    .map((node) => Number(attributesOf(node).bits ?? 4))
  if (own.some(({ opType }) => opType === 'MatMulBnb4')) return 'int4'
  if (packed.some((bits) => bits <= 4) || tensors.some(({ dataType }) => INT4.includes(dataType))) return 'int4'
  if (packed.length > 0 || nodes.some(({ domain = '', opType = '' }) => DOMAINS.includes(domain) && INT8.test(opType)))
    return 'int8'
  const stored = { int8: 0, fp16: 0, fp32: 0 }
  for (const { dataType, dims } of tensors) {
    const form = FORMS[dataType ?? 0]
    if (form !== undefined) stored[form] += dims.reduce((count, size) => count * Number(size), 1)
  }
  const most = Math.max(...Object.values(stored))
  return (['fp32', 'fp16', 'int8'] as const).find((form) => stored[form] === most) as Variant['precision']
}

const nodesIn = (graph: Graph | undefined): Node[] => graph?.node.flatMap(withInner) ?? []

const withInner = (node: Node): Node[] => [node, ...subgraphsOf(node).flatMap(nodesIn)]
