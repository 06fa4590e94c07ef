import { type ImportedModel, nearest, type Weight } from '@tideway/onnx'
import type { ParameterSpec, StatisticSpec, Trainable } from '../trainable.js'
import { fits } from './glob.js'
import { type FineTuneOptions, refuse } from './options.js'

/** Values of the file are named so in training graphs: none is called like an input of the step. */
export const PREFIX = 'model/'
/** Names that training graphs have themselves. */
const TAKEN = /^(rows|targets|learning_rate|step|loss|correct|prediction|mask\/.*|\/small_.*|head\/.*)$/

/** A name that no training graph has itself. */
export const safe = (name: string): string => (TAKEN.test(name) ? `${PREFIX}${name}` : name)

export function inputOf({ inputs }: ImportedModel, { inputShape }: FineTuneOptions): Trainable['input'] {
  const [input, ...more] = inputs
  if (input === undefined || more.length > 0 || input.shape.length === 0)
    refuse([
      `the model has ${inputs.length} inputs (${inputs.map(({ name }) => name).join(', ')}); one with a batch is trained`,
    ])
  const [, ...row] = input?.shape ?? []
  const shape = inputShape ?? row
  const fitting = shape.length === row.length && row.every((size, axis) => size === null || size === shape[axis])
  if (!fitting)
    refuse([`inputShape: [${shape.join(', ')}] does not fit the file's [${row.map((size) => size ?? '?').join(', ')}]`])
  const sizes = shape.flatMap((size) => (size === null ? [] : [size]))
  if (sizes.length < shape.length)
    refuse([
      `inputShape: the file leaves sizes of [${row.map((size) => size ?? '?').join(', ')}] free; say which they are`,
    ])
  return { name: input?.name ?? '', shape: sizes }
}

/** The weights that patterns name, by their own names or by those of nodes that take them. */
export function frozenOf(whole: ImportedModel, weights: readonly Weight[], patterns: readonly string[]): Set<string> {
  const frozen = new Set<string>()
  const issues: string[] = []
  const everything = [...whole.tensors.keys(), ...whole.nodes.map(({ name }) => name)]
  for (const pattern of patterns) {
    for (const { name, nodes } of weights)
      if (fits(pattern, name) || nodes.some((node) => fits(pattern, node.name))) frozen.add(name)
    // A pattern may name what was cut off; one that names nothing at all is a slip.
    if (!everything.some((name) => fits(pattern, name)))
      issues.push(
        `freeze: "${pattern}" matches no weight and no node; there is: ${nearest(pattern, everything).join(', ')}`,
      )
  }
  refuse(issues)
  return frozen
}

export function parameterOf({ tensor, role }: Weight, name: string, trainable: boolean): ParameterSpec {
  const data = tensor.data as Float32Array
  return {
    name,
    shape: tensor.shape,
    trainable,
    decays: role === 'kernel' || role === 'embedding',
    initial: () => (trainable ? data.slice() : data),
  }
}

export function statisticOf({ tensors }: ImportedModel, name: string): StatisticSpec {
  const tensor = tensors.get(name)
  return {
    name: safe(name),
    shape: tensor?.shape ?? [],
    initial: () => Float32Array.from(tensor?.data as Float32Array),
  }
}

/** A softmax along the last axis, or a sigmoid, that nothing comes after. */
export function lastActivationOf(
  { nodes, outputs }: ImportedModel,
  rank: number,
): { readonly type: 'softmax' | 'sigmoid'; readonly logits: string } | undefined {
  const maker = (name = '') => nodes.findLast((node) => node.outputs.includes(name))
  let last = maker(outputs[0])
  // Exporters name outputs through Identity nodes.
  while (last?.opType === 'Identity') last = maker(last.inputs[0])
  const logits = last?.inputs[0] ?? ''
  if (last?.opType === 'Sigmoid') return { type: 'sigmoid', logits }
  if (last?.opType !== 'Softmax') return undefined
  const axis = Number(last.attributes['axis'] ?? (rank === 2 ? 1 : -1))
  return axis === -1 || axis === rank - 1 ? { type: 'softmax', logits } : undefined
}

/** Dropouts of the file that no frozen weight comes after: those inside of frozen parts stay off. */
export function activeDropouts({ nodes }: ImportedModel, parameters: readonly ParameterSpec[]): Set<string> {
  const frozen = new Set(parameters.flatMap(({ name, trainable }) => (trainable ? [] : [name])))
  const before = new Set<string>()
  const active = new Set<string>()
  for (const node of nodes.toReversed()) {
    const isBefore = node.outputs.some((name) => before.has(name)) || node.inputs.some((name) => frozen.has(safe(name)))
    if (isBefore) for (const name of node.inputs) before.add(name)
    if (node.opType === 'Dropout' && !node.outputs.some((name) => before.has(name))) active.add(node.name)
  }
  return active
}
