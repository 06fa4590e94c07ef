import type { Node } from '../../generated/onnx_pb.js'
import { type GraphView, labelOf } from '../view.js'
import { type Step, stepOf } from './steps.js'

export interface Kept {
  readonly node: string
  readonly reason: string
}

/** What becomes integer. */
export interface Plan {
  readonly steps: readonly Step[]
  readonly kept: readonly Kept[]
  /** Tensors that are carried as integers. */
  readonly tensors: ReadonlySet<string>
  /** The tensor whose scale each of them has: values that only moved, or are joined, share one. */
  readonly groupOf: ReadonlyMap<string, string>
  /** Per group, the tensors that hold all of its values: those that a calibration looks at. */
  readonly sources: ReadonlyMap<string, readonly string[]>
}

const SURROUNDED = 'what is around it is float, so that making it integer would cost two conversions'

/**
 * Layers with weights become integer wherever they stand. The steps between them do where what they take comes from
 * integers, and what they give goes to them; those that only move values also where everything that they give goes to
 * integers. `float` names layers to leave alone, with the reason.
 */
export function planOf(view: GraphView, float: ReadonlyMap<string, string> = new Map()): Plan {
  const found: Step[] = []
  const kept: Kept[] = []
  const inside = new Set<Node>()
  for (const node of view.graph.node) {
    if (inside.has(node) || node.opType === 'Constant') continue
    const step = float.get(labelOf(node)) ?? stepOf(node, view)
    if (typeof step === 'string') kept.push({ node: labelOf(node), reason: step })
    else {
      found.push(step)
      for (const member of step.nodes) inside.add(member)
    }
  }
  const steps = integerSteps(found, view)
  const chosen = new Set(steps)
  for (const step of found)
    if (!chosen.has(step)) for (const node of step.nodes) kept.push({ node: labelOf(node), reason: SURROUNDED })

  const taken = new Set(steps.flatMap((step) => step.inputs))
  const given = steps.flatMap((step) =>
    step.outputs.filter(
      (name) => taken.has(name) || !(step.kind === 'linear' || step.kind === 'product') || step.node.opType === 'Conv',
    ),
  )
  const tensors = new Set([...taken, ...given])
  const settled = steps.map((step) => released(step, tensors))
  for (const [at, step] of steps.entries())
    for (const node of step.nodes.slice(settled[at]?.nodes.length))
      kept.push({ node: labelOf(node), reason: 'what follows is float' })
  const order = new Map(view.graph.node.map((node, at) => [labelOf(node), at]))
  kept.sort((a, b) => (order.get(a.node) ?? 0) - (order.get(b.node) ?? 0))
  return { steps: settled, kept, tensors, ...groups(settled, tensors) }
}

/** An activation is absorbed by the ends of the integers' range: where the output is float, it stands for itself. */
function released(step: Step, tensors: ReadonlySet<string>): Step {
  if (step.limits === undefined || step.outputs.some((name) => tensors.has(name))) return step
  const { limits: _, ...others } = step
  const nodes = step.nodes.slice(0, -1)
  return { ...others, nodes, outputs: [nodes.at(-1)?.output[0] ?? ''] }
}

/** A plan in which nothing is computed on integers. */
export const NO_PLAN: Plan = {
  steps: [],
  kept: [],
  tensors: new Set(),
  groupOf: new Map(),
  sources: new Map(),
}

function integerSteps(found: readonly Step[], view: GraphView): Step[] {
  const makers = new Map(found.flatMap((step) => step.outputs.map((name) => [name, step] as const)))
  const takers = new Map<string, Step[]>()
  const stepAt = new Map(found.map((step) => [step.node, step]))
  for (const step of found)
    for (const name of step.outputs) {
      const readers = view.consumers(name).map((node) => stepAt.get(node))
      takers.set(
        name,
        readers.flatMap((reader) => reader ?? []),
      )
    }
  const integer = new Set(found.filter(({ kind }) => kind === 'linear'))
  const fromIntegers = new Set<Step>(integer)
  // What a layer takes is there as integers anyway, wherever it comes from.
  const there = new Set([...integer].flatMap((step) => step.inputs))
  for (const step of found) {
    const are = step.inputs.map((name) => there.has(name) || fromIntegers.has(makers.get(name) as Step))
    // A product of two tensors is work enough to convert one of them for it.
    if (step.kind === 'product' ? are.some(Boolean) : are.every(Boolean)) fromIntegers.add(step)
  }
  for (const step of found.toReversed()) {
    const readers = step.outputs.flatMap((name) => takers.get(name) ?? [])
    const toIntegers = readers.filter((reader) => integer.has(reader))
    if (fromIntegers.has(step) && (toIntegers.length > 0 || step.kind === 'product')) integer.add(step)
    const isMove = step.kind === 'pass' && step.node.opType !== 'MaxPool'
    const all = step.outputs.every(
      (name) => !view.escapes(name) && (takers.get(name) ?? []).length === view.consumers(name).length,
    )
    if (isMove && all && readers.length > 0 && toIntegers.length === readers.length) integer.add(step)
  }
  return found.filter((step) => integer.has(step))
}

/** Whether a step moves integers as they are: what it takes and gives has one scale. */
export function movesIntegers({ kind, inputs, outputs }: Step, { groupOf }: Pick<Plan, 'groupOf'>): boolean {
  const group = groupOf.get(outputs[0] ?? '')
  return kind === 'pass' || (kind === 'concat' && inputs.every((name) => groupOf.get(name) === group))
}

/**
 * Union-find over tensors that have one scale. Joined tensors share theirs unless an activation that one of them ends at
 * was absorbed by the end of its range, which a common range would move.
 */
function groups(steps: readonly Step[], tensors: ReadonlySet<string>): Pick<Plan, 'groupOf' | 'sources'> {
  const parents = new Map<string, string>()
  const rootOf = (name: string): string => {
    let at = name
    for (let up = parents.get(at); up !== undefined; up = parents.get(at)) at = up
    return at
  }
  const derived = new Set<string>()
  const limits = new Map<string, string>()
  for (const { kind, inputs, outputs, limits: own } of steps) {
    const ends = inputs.map((name) => limits.get(name) ?? '')
    const isShared = kind === 'pass' || (kind === 'concat' && ends.every((end) => end === ends[0]))
    for (const name of outputs)
      limits.set(name, isShared ? (ends[0] ?? '') : own === undefined ? '' : `${own.min} ${own.max}`)
    if (!isShared) continue
    for (const name of outputs) derived.add(name)
    const [first = '', ...others] = [...inputs, ...outputs]
    for (const name of others) {
      const [a, b] = [rootOf(first), rootOf(name)]
      if (a !== b) parents.set(b, a)
    }
  }
  const groupOf = new Map([...tensors].map((name) => [name, rootOf(name)]))
  const sources = new Map<string, string[]>()
  for (const [name, group] of groupOf) {
    const list = sources.get(group) ?? []
    if (!derived.has(name)) list.push(name)
    sources.set(group, list)
  }
  return { groupOf, sources }
}
