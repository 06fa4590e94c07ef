import { elementCount, type ResolvedRecipe } from '@tideway/core'
import { makeNode } from '../../format/node.js'
import { ELEMENT_TYPE } from '../../format/types.js'
import type { Node } from '../../generated/onnx_pb.js'
import { halfIssue, toHalf } from '../formats/half.js'
import type { Kept, Outcome, Work } from '../scheme.js'
import { labelOf } from '../view.js'

/**
 * Weights alone as float16: each passes a Cast to float32, which engines do once, at load, so that they compute at
 * float32's speed with float32's memory. Vectors (biases, normalizations) stay: they are next to nothing.
 */
export function halfWeights(work: Work, { keep, minElements }: ResolvedRecipe<'fp16-weights'>): Outcome {
  return storeHalf(work, { keep, minElements, only: () => true })
}

interface Options {
  readonly keep: readonly string[]
  readonly minElements: number
  /** Whether a reader's weights may be changed; nodes that have another form already do not count. */
  readonly only: (node: Node) => boolean
}

export function storeHalf({ view, edit, done }: Work, { keep, minElements, only }: Options): Outcome {
  const quantized = new Set<string>()
  const kept: Kept[] = []
  const constants = view.graph.node.filter((node) => node.opType === 'Constant')
  const names = [...view.graph.initializer.map((tensor) => tensor.name), ...constants.map((node) => node.output[0])]
  for (const name of names) {
    const tensor = view.constant(name)
    const readers = view.consumers(name ?? '').filter((node) => !done.has(node))
    if (name === undefined || tensor?.dtype !== 'float32' || tensor.shape.length < 2) continue
    if (elementCount(tensor.shape) < minElements || readers.length === 0 || !readers.every(only)) continue
    const issue = readers.some((node) => keep.includes(labelOf(node))) ? 'it was asked to stay' : halfIssue(tensor.data)
    if (issue !== undefined) {
      for (const node of readers) kept.push({ node: labelOf(node), reason: issue })
      continue
    }
    const constant = edit.constant(`${name}_h`, { dtype: 'float16', shape: tensor.shape, data: toHalf(tensor.data) })
    edit.before(makeNode('Cast', [constant], [name], { to: BigInt(ELEMENT_TYPE.float32) }))
    const source = constants.find((node) => node.output[0] === name)
    if (source !== undefined) edit.replace(source, [])
    for (const node of readers) quantized.add(labelOf(node))
  }
  return { quantized: [...quantized], kept, requires: [] }
}
