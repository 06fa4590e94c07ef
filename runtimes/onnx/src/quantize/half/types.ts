import type { DataType } from '@tideway/core'
import { attributesOf } from '../../format/node.js'
import { dataTypeOf } from '../../format/types.js'
import type { Graph, Node } from '../../generated/onnx_pb.js'

/** The type of a node's output, of its attributes and its inputs' types; `undefined` where it is not known. */
type TypeRule = (node: Node, inputs: readonly (DataType | undefined)[], output: number) => DataType | undefined

const always =
  (type: DataType): TypeRule =>
  () =>
    type
const likeInput =
  (index: number): TypeRule =>
  (_, inputs) =>
    inputs[index]
/** The first output has the first input's type, others have this one. */
const beside =
  (type: DataType): TypeRule =>
  (_, [first], output) =>
    output === 0 ? first : type
const unknown: TypeRule = () => undefined

const BOOLS = ['Equal', 'Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual', 'And', 'Or', 'Not', 'Xor', 'IsNaN', 'IsInf']

/** Standard operators whose outputs have not simply the type of their first input. */
const RULES: Readonly<Record<string, TypeRule>> = {
  ...Object.fromEntries(BOOLS.map((name) => [name, always('bool')])),
  ...Object.fromEntries(['Shape', 'Size', 'ArgMax', 'ArgMin', 'NonZero'].map((name) => [name, always('int64')])),
  ...Object.fromEntries(['If', 'Loop', 'Scan', 'SequenceAt', 'OptionalGetElement'].map((name) => [name, unknown])),
  Cast: (node) => dataTypeOf(Number(attributesOf(node)['to'] ?? 0)),
  CastLike: likeInput(1),
  Where: likeInput(1),
  OneHot: likeInput(2),
  TopK: beside('int64'),
  MaxPool: beside('int64'),
  Dropout: beside('bool'),
  Constant(node) {
    const { value, value_float, value_floats, value_int, value_ints } = attributesOf(node)
    if (typeof value === 'object' && 'dtype' in value) return value.dtype
    if (value_float !== undefined || value_floats !== undefined) return 'float32'
    return value_int !== undefined || value_ints !== undefined ? 'int64' : undefined
  },
  ConstantOfShape(node) {
    const { value } = attributesOf(node)
    return typeof value === 'object' && 'dtype' in value ? value.dtype : 'float32'
  },
  ...Object.fromEntries(
    ['EyeLike', 'RandomNormal', 'RandomUniform', 'Multinomial', 'Bernoulli'].map((n) => [n, unknown]),
  ),
}

/** The element types of a graph's values, as far as they follow from its inputs, constants and annotations. */
export function typesOf(graph: Graph): ReadonlyMap<string, DataType> {
  const types = new Map<string, DataType>()
  const set = (name = '', type: DataType | undefined) => {
    if (name !== '' && type !== undefined) types.set(name, type)
  }
  for (const { name, type } of [...graph.input, ...graph.valueInfo, ...graph.output]) {
    if (type?.value.case === 'tensorType') set(name, dataTypeOf(type.value.value.elemType))
  }
  for (const { name, dataType } of graph.initializer) set(name, dataTypeOf(dataType))
  for (const node of graph.node) {
    const rule = ruleOf(node)
    const inputs = node.input.map((name) => types.get(name))
    for (const [i, name] of node.output.entries()) if (!types.has(name)) set(name, rule(node, inputs, i))
  }
  return types
}

function ruleOf({ domain = '', opType = '' }: Node): TypeRule {
  if (domain !== '') return unknown
  return (Object.hasOwn(RULES, opType) ? RULES[opType] : undefined) ?? likeInput(0)
}
