import type { Tensor } from '@tideway/core'
import { attributesOf, operatorOf } from '../format/node.js'
import { toTensor } from '../format/tensor.js'
import { dataTypeOf } from '../format/types.js'
import type { Graph, Node } from '../generated/onnx_pb.js'

/** A graph as the quantizer looks at it: constants by name, and who uses what. */
export interface GraphView {
  readonly graph: Graph
  /** The value of a constant (initializer or Constant node) of a type that we have; undefined for anything else. */
  constant(name: string | undefined): Tensor | undefined
  /** The node that gives a tensor; undefined for inputs and initializers. */
  producer(name: string | undefined): Node | undefined
  /** The nodes that read a tensor. */
  consumers(name: string): readonly Node[]
  /** Whether a tensor is used by anything but nodes at this level: a graph output, or a subgraph. */
  escapes(name: string): boolean
}

export function viewOf(graph: Graph): GraphView {
  const initializers = new Map(graph.initializer.map((tensor) => [tensor.name ?? '', tensor]))
  const constants = new Map<string, Node>()
  const consumers = new Map<string, Node[]>()
  const producers = new Map<string, Node>()
  const values = new Map<string, Tensor | undefined>()
  for (const node of graph.node) {
    if (operatorOf(node) === 'Constant') constants.set(node.output[0] ?? '', node)
    for (const name of node.output) producers.set(name, node)
    for (const name of new Set(node.input)) {
      const known = consumers.get(name)
      if (known === undefined) consumers.set(name, [node])
      else known.push(node)
    }
  }
  const escaping = new Set(graph.output.map((info) => info.name ?? ''))
  for (const node of graph.node) for (const name of capturedBy(node)) escaping.add(name)
  const read = (name: string): Tensor | undefined => {
    const initializer = initializers.get(name)
    if (initializer !== undefined) return dataTypeOf(initializer.dataType) && toTensor(initializer)
    const node = constants.get(name)
    const value = node === undefined ? undefined : attributesOf(node)['value']
    return typeof value === 'object' && 'dtype' in value ? value : undefined
  }

  return {
    graph,
    constant(name = '') {
      if (!values.has(name)) values.set(name, read(name))
      return values.get(name)
    },
    producer: (name = '') => producers.get(name),
    consumers: (name) => consumers.get(name) ?? [],
    escapes: (name) => escaping.has(name),
  }
}

/** Every name that a node's subgraphs read; some may be their own, which does no harm here. */
export function capturedBy(node: Node): Set<string> {
  const names = new Set<string>()
  for (const graph of subgraphsOf(node)) {
    for (const inner of graph.node) {
      for (const name of [...inner.input, ...capturedBy(inner)]) names.add(name)
    }
    for (const info of graph.output) names.add(info.name ?? '')
  }
  return names
}

export function subgraphsOf(node: Node): Graph[] {
  return node.attribute.flatMap((attribute) => [
    ...(attribute.g === undefined ? [] : [attribute.g]),
    ...attribute.graphs,
  ])
}

/** What a report calls a node: its name, else its operator and first output. */
export function labelOf(node: Node): string {
  return node.name !== undefined && node.name !== '' ? node.name : `${node.opType ?? ''}:${node.output[0] ?? ''}`
}
