import { attributesOf, makeNode } from '../../format/node.js'
import { ELEMENT_TYPE } from '../../format/types.js'
import type { Node } from '../../generated/onnx_pb.js'
import { type Channels, INT8_WEIGHTS, quantizeChannels } from '../formats/integers.js'
import type { WeightConstant } from '../graph/weights.js'
import type { Work } from '../scheme.js'

/** How much smaller the squared error of scales per row must be to pay for their bytes. */
const ROWS_PAY = 0.8

/** A table of embeddings [rows, columns] that is only looked up by row. */
interface Table extends WeightConstant {
  readonly rows: number
  readonly columns: number
}

/** A constant as a table of embeddings, if it is one. */
export function asTable(constant: WeightConstant): Table | undefined {
  const { readers, name, tensor } = constant
  const [rows = 0, columns = 0] = tensor.shape
  const isLookup = (node: Node) => {
    const { axis = 0n } = attributesOf(node)
    return node.opType === 'Gather' && node.input[0] === name && node.input[1] !== name && axis === 0n
  }
  return tensor.shape.length === 2 && readers.every(isLookup) ? { ...constant, rows, columns } : undefined
}

/**
 * Looks rows up in an int8 table and makes floats of those alone: the table stays small in memory. A scale per row suits
 * tables where rare words have short vectors, one per column those where a few columns are large; the smaller squared
 * error decides.
 */
export function replaceTable({ edit }: Work, { name, tensor, readers, rows, columns }: Table): void {
  const byColumn = quantizeChannels(tensor.data, columns, (i) => i % columns, INT8_WEIGHTS)
  const byRow = quantizeChannels(tensor.data, rows, (i) => Math.floor(i / columns), INT8_WEIGHTS)
  const columnError = errorOf(tensor.data, byColumn, (i) => i % columns)
  const usesRows = errorOf(tensor.data, byRow, (i) => Math.floor(i / columns)) < ROWS_PAY * columnError
  const { integers, scales } = usesRows ? byRow : byColumn
  const table = edit.constant(`${name}_q`, { dtype: 'int8', shape: [rows, columns], data: integers })
  const scale = edit.constant(`${name}_s`, {
    dtype: 'float32',
    shape: usesRows ? [rows, 1] : [columns],
    data: scales,
  })
  for (const node of readers) {
    const [indices = '', output = ''] = [node.input[1], node.output[0]]
    const [found, floats, scaleOfRow] = [
      edit.fresh(`${output}_q`),
      edit.fresh(`${output}_f`),
      edit.fresh(`${output}_s`),
    ]
    const nodes = [
      makeNode('Gather', [table, indices], [found]),
      makeNode('Cast', [found], [floats], { to: BigInt(ELEMENT_TYPE.float32) }),
    ]
    if (usesRows) nodes.push(makeNode('Gather', [scale, indices], [scaleOfRow]))
    nodes.push(makeNode('Mul', [floats, usesRows ? scaleOfRow : scale], [output]))
    edit.replace(node, nodes)
  }
}

function errorOf(values: Float32Array, { integers, scales }: Channels, channelOf: (index: number) => number): number {
  let sum = 0
  for (let i = 0; i < values.length; i++)
    sum += ((integers[i] ?? 0) * (scales[channelOf(i)] ?? 0) - (values[i] ?? 0)) ** 2
  return sum
}
