import type { Tensor } from '@tideway/core'
import { type ImportedModel, type ImportedNode, neededFor, producersOf } from './model.js'

/** What a stored tensor is to the node that takes it. */
export type WeightRole = 'kernel' | 'bias' | 'scale' | 'embedding'

/** A stored float tensor that training may change. */
export interface Weight {
  readonly name: string
  readonly tensor: Tensor
  readonly role: WeightRole
  /** The nodes that take it, directly or through a change of its layout. */
  readonly nodes: readonly ImportedNode[]
}

/** The inputs of operators that are weights when they are stored tensors, by place. */
const SLOTS: Readonly<Record<string, Readonly<Record<number, WeightRole>>>> = {
  BatchNormalization: { 1: 'scale', 2: 'bias' },
  Conv: { 1: 'kernel', 2: 'bias' },
  ConvTranspose: { 1: 'kernel', 2: 'bias' },
  Einsum: { 0: 'kernel', 1: 'kernel' },
  GRU: { 1: 'kernel', 2: 'kernel', 3: 'bias' },
  Gather: { 0: 'embedding' },
  Gemm: { 0: 'kernel', 1: 'kernel', 2: 'bias' },
  GroupNormalization: { 1: 'scale', 2: 'bias' },
  InstanceNormalization: { 1: 'scale', 2: 'bias' },
  LSTM: { 1: 'kernel', 2: 'kernel', 3: 'bias' },
  LayerNormalization: { 1: 'scale', 2: 'bias' },
  MatMul: { 0: 'kernel', 1: 'kernel' },
  PRelu: { 1: 'scale' },
  RMSNormalization: { 1: 'scale' },
  RNN: { 1: 'kernel', 2: 'kernel', 3: 'bias' },
}

/** Element by element, a stored tensor is a weight where its other operand has passed a layer: before, it scales inputs. */
const ELEMENTWISE: Readonly<Record<string, WeightRole>> = { Add: 'bias', Sub: 'bias', Mul: 'scale', Div: 'scale' }

/** Operators behind which a weight is the same weight in another layout. */
const LAYOUT = new Set(['Cast', 'Identity', 'Reshape', 'Squeeze', 'Transpose', 'Unsqueeze', 'Concat', 'Split', 'Slice'])

/**
 * The weights of a model that its outputs need: stored float32 tensors at the places of operators where weights are,
 * in the order in which they are used. Single numbers, masks (with infinite values), constants of the computation and
 * what comes before the first layer are none.
 */
export function weightsOf(model: ImportedModel): Weight[] {
  const found = new Map<string, { role: WeightRole; nodes: ImportedNode[] }>()
  const makers = producersOf(model.nodes)
  const behindLayer = new Set<string>()
  for (const node of neededFor(model.nodes, model.outputs)) {
    for (const [place, role] of rolesOf(node, behindLayer)) {
      for (const name of storedBehind(model, makers, node.inputs[place] ?? '')) {
        if (!canTrain(model, name, role)) continue
        const known = found.get(name)
        if (known === undefined) found.set(name, { role, nodes: [node] })
        else if (!known.nodes.includes(node)) known.nodes.push(node)
      }
    }
    if (node.opType in SLOTS || node.inputs.some((name) => behindLayer.has(name)))
      for (const output of node.outputs) behindLayer.add(output)
  }
  return [...found].map(([name, weight]) => ({ name, tensor: model.tensors.get(name) as Tensor, ...weight }))
}

function rolesOf(node: ImportedNode, behindLayer: ReadonlySet<string>): (readonly [number, WeightRole])[] {
  const slots = Object.hasOwn(SLOTS, node.opType) ? SLOTS[node.opType] : undefined
  if (slots !== undefined) return Object.entries(slots).map(([place, role]) => [Number(place), role] as const)
  const role = Object.hasOwn(ELEMENTWISE, node.opType) ? ELEMENTWISE[node.opType] : undefined
  if (role === undefined || !node.inputs.some((name) => behindLayer.has(name))) return []
  return [
    [0, role],
    [1, role],
  ]
}

/** The stored tensors that a value is made of by changes of layout alone. */
function storedBehind(
  model: ImportedModel,
  makers: ReadonlyMap<string, ImportedNode>,
  name: string,
): readonly string[] {
  const found: string[] = []
  const seen = new Set<string>()
  const open = [name]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (at === '' || seen.has(at)) continue
    seen.add(at)
    if (model.tensors.has(at)) found.push(at)
    else {
      const node = makers.get(at)
      if (node === undefined || !LAYOUT.has(node.opType)) return []
      open.push(...(node.opType === 'Concat' ? node.inputs : node.inputs.slice(0, 1)).toReversed())
    }
  }
  return found
}

function canTrain(model: ImportedModel, name: string, role: WeightRole): boolean {
  const tensor = model.tensors.get(name)
  if (tensor === undefined || tensor.dtype !== 'float32' || model.constants.has(name)) return false
  // A bias of one output is a weight; a single number that scales is part of a formula.
  if (tensor.data.length <= 1 && (tensor.shape.length === 0 || role === 'scale')) return false
  return tensor.data.every(Number.isFinite)
}
