import type { BuiltNode, GraphBuilder } from '../build/graph-builder.js'
import { floats, isFloat, type Value } from '../build/value.js'
import { errors } from '../errors.js'
import { GradientContext } from './context.js'
import { withoutGradient } from './nearest.js'
import { GRADIENTS } from './rules.js'

/**
 * Adds the nodes that compute the gradient of a scalar loss by each parameter (reverse mode: Linnainmaa 1970; one pass
 * over the nodes from the loss back). A parameter is any float value of the graph. Only what lies between a parameter
 * and the loss is differentiated: everything else is frozen and costs nothing.
 *
 * Throws before adding anything: `GRADIENT_NOT_DEFINED` for an operator without a rule on such a path,
 * `GRADIENT_UNREACHABLE` for parameters that the loss does not depend on, `GRAPH_INVALID` for a loss that is no scalar.
 *
 * @example
 * const [dw, db] = differentiate(g, loss, [w, b])
 */
export function differentiate(g: GraphBuilder, loss: Value, parameters: readonly Value[]): Value[] {
  if (loss.shape.length !== 0 || !isFloat(loss.dtype)) {
    throw errors.GRAPH_INVALID({
      operator: 'loss',
      reason: `"${loss.name}" is ${loss.dtype}[${loss.shape.join(', ')}], not a float scalar`,
    })
  }
  const trained = dependents(g.nodes, parameters)
  const path = nodesBetween(g.nodes, trained, loss)
  check(path, parameters, loss)

  const gradients = new Map<string, Value>([[loss.name, g.constant(floats(loss.dtype, [1]))]])
  const balanced = new Set<string>()
  for (const node of path.toReversed()) {
    const outer = node.outputs.map((value) => gradients.get(value.name))
    // A node may be reached through an input that its output does not slope by: a ratio, a size.
    if (outer.every((gradient) => gradient === undefined)) continue
    const context = new GradientContext(g, node, outer, (value) => trained.has(value.name), balanced)
    const inner = GRADIENTS[node.opType]?.(context) ?? []
    for (const [place, gradient] of inner.entries()) {
      const input = node.inputs[place]
      if (input === undefined || gradient === undefined) continue
      const sum = gradients.get(input.name)
      gradients.set(input.name, sum === undefined ? gradient : g.op('Add', [sum, gradient]))
    }
  }
  const flat = parameters.filter(({ name }) => !gradients.has(name))
  if (flat.length > 0) throw unreachable(loss, flat)
  return parameters.map((parameter) => gradients.get(parameter.name) as Value)
}

const unreachable = (loss: Value, parameters: readonly Value[]): Error =>
  errors.GRADIENT_UNREACHABLE({ loss: loss.name, parameters: parameters.map(({ name }) => name) })

/** The names of all float values that depend on a parameter, the parameters among them. */
function dependents(nodes: readonly BuiltNode[], parameters: readonly Value[]): Set<string> {
  const names = new Set(parameters.map((value) => value.name))
  for (const node of nodes) {
    if (!node.inputs.some((value) => value !== undefined && names.has(value.name))) continue
    // Integers and booleans (a shape, a class, a comparison) have no gradient: the path ends there.
    for (const output of node.outputs) if (isFloat(output.dtype)) names.add(output.name)
  }
  return names
}

/** The nodes on a path from a parameter to the loss, in the graph's order. */
function nodesBetween(nodes: readonly BuiltNode[], trained: ReadonlySet<string>, loss: Value): BuiltNode[] {
  const reached = new Set([loss.name])
  const path: BuiltNode[] = []
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((value) => reached.has(value.name) && trained.has(value.name))) continue
    // A parameter may be a computed value: what lies before it is frozen.
    if (!node.inputs.some((value) => value !== undefined && trained.has(value.name))) continue
    path.push(node)
    for (const value of node.inputs) if (value !== undefined) reached.add(value.name)
  }
  return path.reverse()
}

function check(path: readonly BuiltNode[], parameters: readonly Value[], loss: Value): void {
  for (const node of path) {
    const nearest = withoutGradient(node)
    if (nearest !== undefined) throw errors.GRADIENT_NOT_DEFINED({ node: node.name, operator: node.opType, nearest })
  }
  const used = new Set(path.flatMap((node) => node.inputs.map((value) => value?.name)))
  const unused = parameters.filter(({ name }) => !used.has(name) && name !== loss.name)
  if (unused.length > 0) throw unreachable(loss, unused)
}
