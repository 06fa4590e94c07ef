import type { Graph, Node } from '../../generated/onnx_pb.js'
import { subgraphsOf } from '../view.js'

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'

/**
 * Names of tensors in the file that is written: a name is stored once for each use, so the shortest there are. Inputs,
 * outputs and what a branch or a loop reads from outside keep theirs.
 */
export class Names {
  private readonly fixed: ReadonlySet<string>
  private readonly given = new Map<string, string>()
  private next = 0

  constructor(graph: Graph) {
    const outside = [...graph.input, ...graph.output].map(({ name = '' }) => name)
    this.fixed = new Set([...outside, ...graph.node.flatMap(innerNames), ''])
  }

  /** The new name of a tensor of the float graph. */
  of(name: string): string {
    if (this.fixed.has(name)) return name
    const known = this.given.get(name)
    if (known !== undefined) return known
    const made = this.fresh()
    this.given.set(name, made)
    return made
  }

  fresh(): string {
    for (;;) {
      let name = ''
      for (let at = this.next++; at >= 0; at = Math.floor(at / LETTERS.length) - 1)
        name = `${LETTERS[at % LETTERS.length]}${name}`
      if (!this.fixed.has(name)) return name
    }
  }
}

/** Every name in the graphs inside a node: what they read from outside, and their own, which must stay others. */
function innerNames(node: Node): string[] {
  return subgraphsOf(node).flatMap((graph) => [
    ...[...graph.input, ...graph.output, ...graph.initializer].map(({ name = '' }) => name),
    ...graph.node.flatMap((inner) => [...inner.input, ...inner.output, ...innerNames(inner)]),
  ])
}
