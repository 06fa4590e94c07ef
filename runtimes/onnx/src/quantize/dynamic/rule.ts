import { elementCount, type ResolvedRecipe } from '@tideway/core'
import type { Node } from '../../generated/onnx_pb.js'
import type { Work } from '../scheme.js'
import type { Activations } from './products.js'

type Recipe = ResolvedRecipe<'int8-dynamic'>

/** What rules share: activations that are quantized once for all that read them, needs, and weights by their source. */
export interface DynamicWork extends Work {
  readonly recipe: Recipe
  readonly activations: Activations
  readonly weights: Map<string, readonly [string, string]>
  readonly requires: Set<string>
}

/**
 * Puts a node's integer form into the edit and returns what it replaced, or says why the node stays in float; with
 * nothing to say it is not for this rule.
 */
export type DynamicRule = (node: Node, work: DynamicWork) => readonly Node[] | string

export const tooFew = (shape: readonly number[], { minElements }: Recipe): string | undefined => {
  const elements = elementCount(shape)
  return elements < minElements ? `its ${elements} weights are too few to gain by it` : undefined
}
