import type { Tensor } from '@tideway/core'
import { fromTensor } from '../format/tensor.js'
import type { Graph, Node } from '../generated/onnx_pb.js'
import { capturedBy, type GraphView } from '../quantize/view.js'

/** One look over a graph that changes what it finds; says nothing, its changes are in `edit`. */
export type Pass = (view: GraphView, edit: Edit) => void

/**
 * The changes of one pass, made together at its end, so that the view stays true while the pass runs. A node or a value
 * that one change touches is claimed: a second change of it waits for the next round.
 */
export class Edit {
  private readonly replaced = new Map<Node, readonly Node[]>()
  private readonly renamed = new Map<string, string>()
  private readonly claimed = new Set<Node | string>()
  private readonly taken: Set<string>

  constructor(private readonly view: GraphView) {
    this.taken = namesOf(view.graph)
  }

  get changes(): number {
    return this.replaced.size
  }

  /** Whether all of these are free; then they are no more. */
  claim(...items: readonly (Node | string)[]): boolean {
    if (items.some((item) => this.claimed.has(item))) return false
    for (const item of items) this.claimed.add(item)
    return true
  }

  /** Puts nodes in a node's place. Claim it first. */
  replace(node: Node, ...nodes: readonly Node[]): void {
    this.replaced.set(node, nodes)
  }

  /**
   * Takes a node out whose output is its input `from`: who read the output reads the input. Returns false, and changes
   * nothing, where the graph's own names forbid it or another change of this round is in the way.
   */
  bypass(node: Node, from = node.input[0] ?? ''): boolean {
    const to = node.output[0] ?? ''
    const { view } = this
    const forward = !view.escapes(to)
    const backward = !forward && view.producer(from) !== undefined && !view.escapes(from)
    if ((!forward && !backward) || !this.claim(node, from, to)) return false
    this.replaced.set(node, [])
    if (forward) this.renamed.set(to, from)
    else this.renamed.set(from, to)
    return true
  }

  /** Stores a tensor under a name of its own. */
  constant(wanted: string, tensor: Tensor): string {
    let name = wanted
    for (let i = 2; this.taken.has(name); i++) name = `${wanted}_${i}`
    this.taken.add(name)
    this.view.graph.initializer.push(fromTensor(name, tensor))
    return name
  }

  apply(): void {
    const { graph } = this.view
    const now = (name: string): string => this.renamed.get(name) ?? name
    graph.node = graph.node.flatMap((node) => this.replaced.get(node) ?? [node])
    if (this.renamed.size === 0) return
    for (const node of graph.node) {
      node.input = node.input.map(now)
      node.output = node.output.map(now)
    }
  }
}

/** Every name in a graph. */
export function namesOf(graph: Graph): Set<string> {
  const names = new Set([...graph.initializer, ...graph.input, ...graph.output].map((item) => item.name ?? ''))
  for (const node of graph.node)
    for (const name of [...node.input, ...node.output, ...capturedBy(node)]) names.add(name)
  return names
}

/** Takes out nodes, initializers and type annotations that no output needs. */
export function dropUnused(graph: Graph): void {
  const used = new Set(graph.output.map((info) => info.name ?? ''))
  const kept: Node[] = []
  for (const node of graph.node.toReversed()) {
    if (!node.output.some((name) => name !== '' && used.has(name))) continue
    kept.push(node)
    for (const name of [...node.input, ...capturedBy(node)]) used.add(name)
  }
  graph.node = kept.reverse()
  const weights = new Set(graph.initializer.map((tensor) => tensor.name ?? ''))
  // Old exporters list weights as inputs too.
  graph.input = graph.input.filter(({ name = '' }) => !weights.has(name))
  graph.initializer = graph.initializer.filter(({ name = '' }) => used.has(name))
  const made = new Set(graph.node.flatMap((node) => node.output))
  graph.valueInfo = graph.valueInfo.filter(({ name = '' }) => made.has(name))
}
