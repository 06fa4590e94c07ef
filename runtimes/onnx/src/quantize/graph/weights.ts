import { elementCount, type Tensor } from '@tideway/core'
import { attributesOf } from '../../format/node.js'
import type { Node } from '../../generated/onnx_pb.js'
import { type GraphView, labelOf } from '../view.js'

type FloatTensor = Extract<Tensor, { dtype: 'float32' }>

/** A constant of float32 weights, and the layers that read it. */
export interface WeightConstant {
  readonly name: string
  readonly tensor: FloatTensor
  readonly readers: readonly Node[]
  /** The axes along which the channels lie that get a scale each. */
  readonly axes: readonly number[]
}

/** Which inputs of an operator are weights, and along which axes their channels lie. */
type Roles = (node: Node, rank: number) => Readonly<Record<number, readonly number[]>>

const RECURRENT: Roles = () => ({ 1: [0, 1], 2: [0, 1] })

// [outputs, inputs / group, ...window], [inputs, outputs / group, ...window], [directions, gates · hidden, inputs].
const ROLES: Readonly<Record<string, Roles>> = {
  MatMul: (_, rank) => ({ 0: [rank - 2], 1: [rank - 1] }),
  Gemm(node) {
    const { transA = 0n, transB = 0n } = attributesOf(node)
    return { 0: [transA === 0n ? 0 : 1], 1: [transB === 0n ? 1 : 0] }
  },
  Conv: () => ({ 1: [0] }),
  ConvTranspose: () => ({ 1: [1] }),
  Gather: (_, rank) => ({ 0: [rank - 1] }),
  LSTM: RECURRENT,
  GRU: RECURRENT,
  RNN: RECURRENT,
}

export const hasWeightRole = (node: Node) =>
  (node.domain ?? '') === '' && node.opType !== undefined && Object.hasOwn(ROLES, node.opType)

interface Options {
  readonly minElements: number
  /** Labels of nodes that stay as they are. */
  readonly keep: readonly string[]
  /** Nodes that have another form already. */
  readonly done: ReadonlySet<Node>
}

/** The constants that are weights of layers, and the layers whose weights stay, with the reason. */
export function weightConstants(view: GraphView, { minElements, keep, done }: Options) {
  const constants: WeightConstant[] = []
  const kept: { node: string; reason: string }[] = []
  const stay = new Set(keep)
  for (const name of namesOf(view)) {
    const tensor = view.constant(name)
    if (tensor?.dtype !== 'float32' || tensor.shape.length < 2) continue
    const readers = view.consumers(name).filter((node) => !done.has(node))
    const layers = readers.filter((node) => axesOf(node, name, tensor) !== undefined)
    const [axes] = layers.map((node) => axesOf(node, name, tensor))
    if (axes === undefined) continue
    const isShared = layers.length < readers.length
    const reason = reasonToKeep(view, name, tensor, readers, { minElements, keep: stay, isShared })
    if (reason !== undefined) for (const node of layers) kept.push({ node: labelOf(node), reason })
    else constants.push({ name, tensor, readers, axes })
  }
  return { constants, kept }
}

function reasonToKeep(
  view: GraphView,
  name: string,
  tensor: FloatTensor,
  readers: readonly Node[],
  { minElements, keep, isShared }: { minElements: number; keep: ReadonlySet<string>; isShared: boolean },
): string | undefined {
  const elements = elementCount(tensor.shape)
  if (readers.some((node) => keep.has(labelOf(node)))) return 'it was asked to stay'
  if (elements < minElements) return `its ${elements} weights are too few to gain by it`
  if (view.escapes(name)) return 'a branch, a loop or an output uses its weights, too'
  if (isShared) return 'an operator that is no layer uses its weights, too'
  return tensor.data.every(Number.isFinite) ? undefined : 'a weight is not finite'
}

/** The axes of a constant's channels where a node reads it as weights. */
function axesOf(node: Node, name: string, { shape }: FloatTensor): readonly number[] | undefined {
  if (!hasWeightRole(node)) return undefined
  const roles = ROLES[node.opType ?? '']?.(node, shape.length) ?? {}
  const places = node.input.flatMap((input, i) => (input === name ? [i] : []))
  return places.every((i) => roles[i] !== undefined) ? roles[places[0] ?? -1] : undefined
}

function* namesOf({ graph }: GraphView): Generator<string> {
  for (const { name = '' } of graph.initializer) yield name
  for (const node of graph.node) if (node.opType === 'Constant') yield node.output[0] ?? ''
}
