import type { Tensor } from '@tideway/core'
import { errors } from '../errors.js'
import { toTensor } from '../format/tensor.js'
import { constantsOf, importNode } from './import.js'
import type { ImportedNode } from './model.js'
import { refusalOf } from './refused.js'

/** The nodes, tensors and outputs of the branch that an If takes. Names of a branch are unlike those around it. */
export function branchOf(
  node: ImportedNode,
  taken: boolean,
): {
  readonly nodes: readonly ImportedNode[]
  readonly tensors: ReadonlyMap<string, Tensor>
  readonly outputs: string[]
} {
  const graph = node.graphs.get(taken ? 'then_branch' : 'else_branch')
  if (graph === undefined) throw errors.NODE_INVALID({ node: node.name, operator: 'If', reason: 'a branch is missing' })
  const refused = graph.node.flatMap((inner) => refusalOf(inner, inner.name ?? '') ?? [])
  if (refused.length > 0) throw errors.OPERATOR_UNSUPPORTED({ nodes: refused })
  const all = graph.node.map(importNode)
  return {
    nodes: all.filter((inner) => inner.opType !== 'Constant'),
    tensors: new Map([
      ...graph.initializer.map((tensor) => [tensor.name ?? '', toTensor(tensor)] as const),
      ...constantsOf(all),
    ]),
    outputs: graph.output.map(({ name }) => name ?? ''),
  }
}
