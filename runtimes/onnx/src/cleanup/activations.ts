import { attributesOf, makeNode, operatorOf } from '../format/node.js'
import type { Node } from '../generated/onnx_pb.js'
import type { GraphView } from '../quantize/view.js'
import type { Pass } from './edit.js'

/** What a Relu or a Clip lets through: values below `min` become it, values above `max` that. */
export interface Limits {
  readonly min: number
  readonly max: number
}

/** The limits of Relu, and of Clip with constant ones; undefined for other nodes. */
export function limitsOf(node: Node | undefined, view: GraphView): Limits | undefined {
  const operator = operatorOf(node)
  if (operator === 'Relu') return { min: 0, max: Number.POSITIVE_INFINITY }
  if (node === undefined || operator !== 'Clip') return undefined
  const attributes = attributesOf(node)
  // Attributes up to operator set 10, inputs after it.
  const limit = (place: number, name: string, none: number): number | undefined => {
    const input = node.input[place] ?? ''
    if (input === '') return typeof attributes[name] === 'number' ? attributes[name] : none
    const tensor = view.constant(input)
    return tensor?.dtype === 'float32' && tensor.data.length === 1 ? tensor.data[0] : undefined
  }
  const [min, max] = [limit(1, 'min', Number.NEGATIVE_INFINITY), limit(2, 'max', Number.POSITIVE_INFINITY)]
  return min === undefined || max === undefined || min > max ? undefined : { min, max }
}

/** Two of Relu and Clip in a row become one. */
export const joinActivations: Pass = (view, edit) => {
  for (const node of view.graph.node) {
    const middle = node.input[0] ?? ''
    const before = view.producer(middle)
    const [first, second] = [limitsOf(before, view), limitsOf(node, view)]
    if (before === undefined || first === undefined || second === undefined) continue
    const clip = (x: number): number => Math.min(second.max, Math.max(second.min, x))
    const [min, max] = [clip(first.min), clip(first.max)]
    const input = before.input[0] ?? ''
    if (min === 0 && max === Number.POSITIVE_INFINITY) {
      if (!edit.claim(node, before)) continue
      edit.replace(node, makeNode('Relu', [input], node.output, {}, node.name))
      continue
    }
    // Limits as attributes, from before operator set 11, cannot be mixed with limits as inputs.
    if ([before, node].some((item) => item.opType === 'Clip' && item.attribute.length > 0)) continue
    if (!edit.claim(node, before)) continue
    const name = (limit: number): string =>
      Number.isFinite(limit)
        ? edit.constant('limit', { dtype: 'float32', shape: [], data: Float32Array.of(limit) })
        : ''
    const inputs = [input, name(min), name(max)]
    while (inputs.at(-1) === '') inputs.pop()
    edit.replace(node, makeNode('Clip', inputs, node.output, {}, node.name))
  }
}
