import type { Tensor, TensorSpec } from '@tideway/core'
import type { Attributes } from '../format/node.js'
import type { Graph } from '../generated/onnx_pb.js'

/** A node of an imported graph, as its file has it. */
export interface ImportedNode {
  /** Its name, or its first output's where the file gives none. */
  readonly name: string
  readonly opType: string
  /** Names of values; "" for an input that is left out. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: Attributes
  /** Graphs in attributes (the branches of an If), by attribute name. */
  readonly graphs: ReadonlyMap<string, Graph>
  /** Names of the graph around them that those graphs use. */
  readonly captured: readonly string[]
}

/** A checked ONNX graph, sorted, that can be cut and put into a `GraphBuilder`. Never changed: surgery gives a new one. */
export interface ImportedModel {
  readonly name: string
  readonly producer: string
  readonly opset: number
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly string[]
  /** Each after those whose outputs it takes. */
  readonly nodes: readonly ImportedNode[]
  /** Initializers and constants, by name. */
  readonly tensors: ReadonlyMap<string, Tensor>
  /** The names among `tensors` that Constant nodes gave: numbers of the computation, not weights. */
  readonly constants: ReadonlySet<string>
  /** What the file says of values that are no inputs, where it says type and shape. */
  readonly types: ReadonlyMap<string, TensorSpec>
  /** What was found on the way that a person should know, in plain words. */
  readonly notes: readonly string[]
}

/** The node that gives each value. */
export function producersOf(nodes: readonly ImportedNode[]): Map<string, ImportedNode> {
  return new Map(nodes.flatMap((node) => node.outputs.filter(Boolean).map((output) => [output, node] as const)))
}

/** Everything that a node takes, its branches included. */
export const takenBy = (node: ImportedNode): string[] => [...node.inputs, ...node.captured].filter(Boolean)

/** The nodes that `outputs` need, in the graph's order. */
export function neededFor(nodes: readonly ImportedNode[], outputs: Iterable<string>): ImportedNode[] {
  const wanted = new Set(outputs)
  const needed: ImportedNode[] = []
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((name) => wanted.has(name))) continue
    needed.push(node)
    for (const name of takenBy(node)) wanted.add(name)
  }
  return needed.reverse()
}
