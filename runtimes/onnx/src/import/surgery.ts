import { errors } from '../errors.js'
import { type ImportedModel, type ImportedNode, neededFor, producersOf } from './model.js'

/** Names of nodes and values that an error offers. */
const OFFERED = 8

/**
 * The model up to a node (its first output) or a value: that is its one output, and what lies behind is gone.
 *
 * Throws `VALUE_NOT_FOUND`, with the names most like it.
 */
export function cutAt(model: ImportedModel, nodeOrValue: string): ImportedModel {
  const output = findValue(model, nodeOrValue)
  return { ...model, outputs: [output], nodes: neededFor(model.nodes, [output]) }
}

function findValue({ nodes, inputs }: ImportedModel, name: string): string {
  if (producersOf(nodes).has(name)) return name
  const node = nodes.find((item) => item.name === name)
  if (node !== undefined) return node.outputs.find(Boolean) ?? ''
  const names = nodes.flatMap((item) => [item.name, ...item.outputs])
  throw errors.VALUE_NOT_FOUND({ name, nearest: nearest(name, [...names, ...inputs.map((input) => input.name)]) })
}

/** The names that share the most with one, by pairs of letters (Dice 1945). */
export function nearest(name: string, names: readonly string[]): string[] {
  const pairs = (text: string): Set<string> =>
    new Set(Array.from({ length: text.length - 1 }, (_, at) => text.slice(at, at + 2).toLowerCase()))
  const own = pairs(name)
  const likeness = (other: string): number => {
    const theirs = pairs(other)
    let shared = 0
    for (const pair of theirs) if (own.has(pair)) shared++
    return (2 * shared) / (own.size + theirs.size || 1)
  }
  return [...new Set(names)]
    .filter(Boolean)
    .map((item) => [item, likeness(item)] as const)
    .sort(([, a], [, b]) => b - a)
    .slice(0, OFFERED)
    .map(([item]) => item)
}

/**
 * The value that goes into the last dense layer (a matrix product with a stored matrix): what a new head takes in place
 * of the old one. Undefined when there is none.
 */
export function featuresOf(model: ImportedModel): string | undefined {
  const stored = (name: string | undefined): boolean => {
    for (let at = name; at !== undefined; ) {
      if (model.tensors.has(at)) return true
      const node = makers.get(at)
      at = node !== undefined && PASSING.has(node.opType) ? node.inputs[0] : undefined
    }
    return false
  }
  const makers = producersOf(model.nodes)
  const isDense = (node: ImportedNode): boolean =>
    (node.opType === 'Gemm' || node.opType === 'MatMul') && stored(node.inputs[1]) && !stored(node.inputs[0])
  return model.nodes.findLast(isDense)?.inputs[0]
}

const PASSING = new Set(['Identity', 'Transpose', 'Reshape', 'Cast', 'Squeeze', 'Unsqueeze'])
