import { errors } from '../errors.js'
import type { Graph, Node } from '../generated/onnx_pb.js'
import { type ImportedNode, takenBy } from './model.js'

/** More problems than this are of one cause. */
const MOST_ISSUES = 20

/**
 * Checks that a graph is one: every name given once, everything that is taken given somewhere, no node after itself;
 * and sorts its nodes so that each comes after those whose outputs it takes. A graph that is sorted stays as it is.
 *
 * Throws `MODEL_GRAPH_INVALID` naming what is wrong.
 */
export function sorted(nodes: readonly ImportedNode[], given: readonly string[], outputs: readonly string[]) {
  const issues: string[] = []
  const makers = new Map<string, ImportedNode | undefined>()
  for (const name of given) makers.set(name, undefined)
  for (const node of nodes)
    for (const output of node.outputs.filter(Boolean)) {
      if (makers.has(output)) issues.push(`"${output}" is given twice, the second time by ${show(node)}`)
      makers.set(output, node)
    }
  for (const node of nodes)
    for (const name of takenBy(node))
      if (!makers.has(name)) issues.push(`${show(node)} takes "${name}", which nothing gives`)
  for (const name of outputs) if (!makers.has(name)) issues.push(`output "${name}" is given by nothing`)
  if (outputs.length === 0) issues.push('it has no output')
  fail(issues)
  return order(nodes, makers)
}

/** Kahn's algorithm, in rounds over what became free; linear in nodes and edges. */
function order(
  nodes: readonly ImportedNode[],
  makers: ReadonlyMap<string, ImportedNode | undefined>,
): readonly ImportedNode[] {
  const waiting = new Map<ImportedNode, number>()
  const after = new Map<ImportedNode, ImportedNode[]>()
  let isSorted = true
  const seen = new Set<ImportedNode>()
  for (const node of nodes) {
    const before = new Set(takenBy(node).flatMap((name) => makers.get(name) ?? []))
    waiting.set(node, before.size)
    for (const maker of before) {
      if (!seen.has(maker)) isSorted = false
      const list = after.get(maker)
      if (list === undefined) after.set(maker, [node])
      else list.push(node)
    }
    seen.add(node)
  }
  if (isSorted) return nodes
  const ready = nodes.filter((node) => waiting.get(node) === 0)
  for (let at = 0; at < ready.length; at++) {
    for (const next of after.get(ready[at] as ImportedNode) ?? []) {
      const left = (waiting.get(next) ?? 0) - 1
      waiting.set(next, left)
      if (left === 0) ready.push(next)
    }
  }
  if (ready.length < nodes.length) {
    const done = new Set(ready)
    fail(
      nodes.filter((node) => !done.has(node)).map((node) => `${show(node)} takes what depends on it: there is a cycle`),
    )
  }
  return ready
}

/** Names given twice in lists where each stands for one thing. */
export function duplicates(what: string, names: readonly string[]): string[] {
  const seen = new Set<string>()
  return names.flatMap((name) => {
    if (name === '') return [`${what} without a name`]
    if (seen.has(name)) return [`${what} "${name}" is there twice`]
    seen.add(name)
    return []
  })
}

export function fail(issues: readonly string[]): void {
  if (issues.length === 0) return
  const more = issues.length > MOST_ISSUES ? [`and ${issues.length - MOST_ISSUES} more`] : []
  throw errors.MODEL_GRAPH_INVALID({ issues: [...issues.slice(0, MOST_ISSUES), ...more] })
}

const show = (node: ImportedNode): string => `node "${node.name}" (${node.opType})`

/** The names that a graph in an attribute takes of the graph around it. */
export function capturedBy(graph: Graph): string[] {
  const own = new Set([...graph.input, ...graph.initializer].map(({ name }) => name ?? ''))
  for (const node of graph.node) for (const output of node.output) own.add(output)
  const inner = (node: Node): string[] =>
    node.attribute.flatMap(({ g, graphs }) => [...(g === undefined ? [] : [g]), ...graphs].flatMap(capturedBy))
  const taken = [
    ...graph.node.flatMap((node) => [...node.input, ...inner(node)]),
    ...graph.output.map(({ name }) => name ?? ''),
  ]
  return [...new Set(taken)].filter((name) => name !== '' && !own.has(name))
}
