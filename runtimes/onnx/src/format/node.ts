import { create } from '@bufbuild/protobuf'
import { errors, type Tensor } from '@tideway/core'
import {
  type Attribute,
  AttributeSchema,
  type Graph,
  type Model,
  type Node,
  NodeSchema,
  type TensorData,
} from '../generated/onnx_pb.js'
import { fromTensor, toTensor } from './tensor.js'
import { ATTRIBUTE_TYPE } from './types.js'

/** An attribute's value: bigint and bigint[] are ONNX integers, number and number[] its floats, a graph a loop's body. */
export type AttributeValue =
  | bigint
  | number
  | string
  | readonly bigint[]
  | readonly number[]
  | readonly string[]
  | Tensor
  | Graph

export type Attributes = Readonly<Record<string, AttributeValue>>

/**
 * An operator by its name, with the domain before it where it is not ONNX's own ("com.microsoft.nchwc.Conv"): names of
 * operators have no dot.
 */
export function splitOperator(name: string): { readonly domain: string; readonly opType: string } {
  const dot = name.lastIndexOf('.')
  return { domain: name.slice(0, Math.max(0, dot)), opType: name.slice(dot + 1) }
}

/** Makes a node; attributes are written in the order of their names, so that the same node gives the same bytes. */
export function makeNode(
  operator: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Attributes = {},
  name?: string,
): Node {
  const attribute = Object.keys(attributes)
    .sort()
    .map((key) => makeAttribute(key, attributes[key] as AttributeValue))
  const { domain, opType } = splitOperator(operator)
  return create(NodeSchema, {
    opType,
    ...(domain === '' ? {} : { domain }),
    input: [...input],
    output: [...output],
    attribute,
    ...(name === undefined ? {} : { name }),
  })
}

function makeAttribute(name: string, value: AttributeValue): Attribute {
  const encoder = new TextEncoder()
  if (typeof value === 'bigint') return create(AttributeSchema, { name, type: ATTRIBUTE_TYPE.int, i: value })
  if (typeof value === 'number') return create(AttributeSchema, { name, type: ATTRIBUTE_TYPE.float, f: value })
  if (typeof value === 'string')
    return create(AttributeSchema, { name, type: ATTRIBUTE_TYPE.string, s: encoder.encode(value) })
  if ('$typeName' in value) return create(AttributeSchema, { name, type: ATTRIBUTE_TYPE.graph, g: value })
  if ('dtype' in value) return create(AttributeSchema, { name, type: ATTRIBUTE_TYPE.tensor, t: fromTensor('', value) })
  const list = value as readonly unknown[]
  if (list.every((item) => typeof item === 'bigint'))
    return create(AttributeSchema, { name, type: ATTRIBUTE_TYPE.ints, ints: [...list] })
  if (list.every((item) => typeof item === 'number'))
    return create(AttributeSchema, { name, type: ATTRIBUTE_TYPE.floats, floats: [...list] })
  const strings = list.map((item) => encoder.encode(String(item)))
  return create(AttributeSchema, { name, type: ATTRIBUTE_TYPE.strings, strings })
}

/** The attributes of a node that are not graphs, as values. */
export function attributesOf(node: Node): Attributes {
  // From entries: an attribute called "__proto__" is one like any other.
  return Object.fromEntries(
    node.attribute.flatMap((attribute) => {
      const value = attributeValue(attribute)
      return value === undefined || attribute.name === undefined ? [] : [[attribute.name, value] as const]
    }),
  )
}

function attributeValue(attribute: Attribute): AttributeValue | undefined {
  switch (attribute.type) {
    case ATTRIBUTE_TYPE.int:
      return attribute.i ?? 0n
    case ATTRIBUTE_TYPE.float:
      return attribute.f ?? 0
    case ATTRIBUTE_TYPE.string:
      return new TextDecoder().decode(attribute.s)
    case ATTRIBUTE_TYPE.ints:
      return attribute.ints
    case ATTRIBUTE_TYPE.floats:
      return attribute.floats
    case ATTRIBUTE_TYPE.strings:
      return attribute.strings.map((bytes) => new TextDecoder().decode(bytes))
    case ATTRIBUTE_TYPE.tensor:
      return attribute.t === undefined ? undefined : toTensor(attribute.t)
    default:
      return undefined
  }
}

/** The graph of a model; throws `MODEL_INVALID` when there is none. */
export function graphOf(model: Model): Graph {
  if (model.graph === undefined) throw errors.MODEL_INVALID({ reason: 'it has no graph' })
  return model.graph
}

/** Whether a node is one of ONNX's own operators: another domain may give their names other meanings. */
export const isStandard = ({ domain = '' }: Node): boolean => domain === '' || domain === 'ai.onnx'

/** The name of a standard operator; empty for those of other domains, and without a node. */
export const operatorOf = (node: Node | undefined): string =>
  node !== undefined && isStandard(node) ? (node.opType ?? '') : ''

/** The version of the default operator set that a model imports. */
export function opsetOf(model: Model): number {
  const set = model.opsetImport.find((entry) => (entry.domain ?? '') === '' || entry.domain === 'ai.onnx')
  return Number(set?.version ?? 1n)
}

export function findInitializer(graph: Graph, name: string): TensorData | undefined {
  return graph.initializer.find((tensor) => tensor.name === name)
}

/** Puts a tensor under its name in place of the one there, or at the end. */
export function setInitializer(graph: Graph, name: string, tensor: Tensor): void {
  const made = fromTensor(name, tensor)
  const at = graph.initializer.findIndex((item) => item.name === name)
  if (at < 0) graph.initializer.push(made)
  else graph.initializer[at] = made
}
