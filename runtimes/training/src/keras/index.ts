import { type NetworkConfig, type NetworkPlan, planNetwork, tryPlanNetwork } from '@tideway/core'
import { errors } from '../errors.js'
import { type NamedWeight, weightsOf } from '../layers/index.js'
import { Unsupported } from './arguments.js'
import { CLASSES, type Draft } from './classes.js'
import { type KerasLayer, type KerasTopology, topologyOf } from './topology.js'
import { type KerasWeight, matchWeights, type WeightNames, weightsOfShards } from './weights.js'

/** A network and, where they came with it, its weights. */
export interface KerasImport {
  readonly network: NetworkConfig
  /** By the names of `trainableOf(network)`'s parameters and statistics, in the graph's layout; empty without weights. */
  readonly weights: ReadonlyMap<string, Float32Array>
}

/**
 * A Keras model as a network: `model.to_json()` or config.json (Keras 2 and 3, Sequential and Functional), or model.json
 * of TensorFlow.js with the files that it names. `weights`: those files by path, or tensors by Keras's names.
 *
 * Throws `INPUT_REJECTED` for JSON that is no model, `KERAS_UNSUPPORTED` naming every layer and argument that has no
 * like here, `KERAS_WEIGHTS_INVALID` naming every tensor that is missing or does not fit.
 *
 * @example
 * const shards = new Map([['group1-shard1of1.bin', await readFile('model/group1-shard1of1.bin')]])
 * const { network, weights } = fromKeras(JSON.parse(await readFile('model/model.json', 'utf8')), shards)
 */
export function fromKeras(
  json: unknown,
  weights: ReadonlyMap<string, Uint8Array> | readonly KerasWeight[] = [],
): KerasImport {
  return importKeras(json, {}, () =>
    weights instanceof Map ? weightsOfShards(json, weights) : (weights as readonly KerasWeight[]),
  )
}

/** Finds the tensors of a model, in Keras's layout and by Keras's names. */
export type WeightSource = (
  topology: KerasTopology,
  wanted: readonly NamedWeight[],
  namesOf: (layer: string) => WeightNames,
) => readonly KerasWeight[]

/** As `fromKeras`; `version` is Keras's, where the JSON does not say it. */
export function importKeras(
  json: unknown,
  { version }: { readonly version?: string | undefined },
  source: WeightSource,
): KerasImport {
  const topology = topologyOf(json)
  const { network, names } = networkFrom(topology, isKeras3(json, version))
  const wanted = weightsOf(planNetwork(network))
  const namesOf = (layer: string) => names.get(layer) ?? { layer }
  const found = source(topology, wanted, namesOf)
  return { network, weights: found.length === 0 ? new Map() : matchWeights(wanted, found, namesOf) }
}

/** The version that wrote it, if that is said; else Keras 3 names where each class is registered, as 2.13 and later do. */
function isKeras3(json: unknown, version: string | undefined): boolean {
  const text = JSON.stringify(json)
  const [, major = version?.split('.', 1)[0]] = /"keras_version":\s*"(\d+)\./.exec(text) ?? []
  return major === undefined ? text.includes('"registered_name"') : Number(major) >= 3
}

function networkFrom(topology: KerasTopology, keras3: boolean) {
  const issues: string[] = []
  const byName = new Map(topology.layers.map((layer) => [layer.name, layer]))
  if (topology.inputs.length !== 1) issues.push(`${topology.inputs.length} inputs, not one`)
  if (topology.outputs.length !== 1) issues.push(`${topology.outputs.length} outputs, not one`)
  const input = byName.get(topology.inputs[0] ?? '')
  const order = ordered(topology, byName)
  const names = new Map<string, WeightNames>()
  const drafts = order.flatMap((layer): Draft[] => {
    if (layer.className === 'InputLayer') return []
    const draft = draftOf(layer, keras3, issues)
    if (draft === undefined) return []
    const inner = (layer.config['layer'] as { config?: { name?: string } } | undefined)?.config?.name
    names.set(layer.name, { layer: layer.name, ...(draft.type === 'bidirectional' ? { inner } : {}) })
    const inputs = layer.inputs.map((name) => (name === input?.name ? 'input' : name))
    return [{ ...draft, name: layer.name, inputs: draft.type === 'multiHeadAttention' ? distinct(inputs) : inputs }]
  })
  const shape = shapeOf(input, issues)
  if (issues.length > 0) throw errors.KERAS_UNSUPPORTED({ issues })
  const axes = drafts.map(({ lastAxis }) => lastAxis)
  const network = {
    input: { name: input?.name ?? 'input', shape },
    output: { name: topology.outputs[0] ?? 'output' },
    layers: drafts.map((draft) => Object.fromEntries(Object.entries(draft).filter(([key]) => key !== 'lastAxis'))),
  } as unknown as NetworkConfig
  const named = network.input.name === network.output.name ? { ...network, output: { name: 'output' } } : network
  const { plan, issues: wrong } = tryPlanNetwork(named)
  if (plan === undefined) throw errors.KERAS_UNSUPPORTED({ issues: wrong })
  checkAxes(plan, axes)
  return { network: named, names }
}

/** Self-attention is called with one tensor as query and value. */
const distinct = (inputs: readonly string[]): string[] =>
  new Set(inputs).size === 1 ? inputs.slice(0, 1) : [...inputs]

/** The layers that the output needs, each behind those that it takes. */
function ordered({ outputs }: KerasTopology, byName: ReadonlyMap<string, KerasLayer>): KerasLayer[] {
  const order = new Set<KerasLayer>()
  const open = new Set<string>()
  const pending = outputs.map((name) => ({ name, entered: false }))
  while (pending.length > 0) {
    const { name, entered } = pending.pop() as { name: string; entered: boolean }
    const layer = byName.get(name)
    if (layer === undefined || order.has(layer)) continue
    if (entered) order.add(layer)
    else if (!open.has(name)) {
      open.add(name)
      pending.push(
        { name, entered: true },
        ...layer.inputs.toReversed().map((inner) => ({ name: inner, entered: false })),
      )
    }
  }
  return [...order]
}

function draftOf(layer: KerasLayer, keras3: boolean, issues: string[]): Draft | undefined {
  const { className, name, config, calls } = layer
  const rule = Object.hasOwn(CLASSES, className) ? CLASSES[className] : undefined
  if (rule === undefined) issues.push(`${name}: layer ${className}`)
  if (calls > 1) issues.push(`${name}: shared by ${calls} calls`)
  try {
    return rule?.({ config, keras3 })
  } catch (cause) {
    if (!(cause instanceof Unsupported)) throw cause
    issues.push(`${name}: ${cause.message}`)
    return undefined
  }
}

/** One row's shape: that of the input without its batch, which must be known. */
function shapeOf(input: KerasLayer | undefined, issues: string[]): number[] {
  const shape = input?.config['batch_shape'] ?? input?.config['batch_input_shape']
  const sizes: unknown[] = Array.isArray(shape) ? shape.slice(1) : []
  if (sizes.length === 0 || sizes.some((size) => typeof size !== 'number'))
    issues.push(`${input?.name ?? 'input'}: an input of shape ${JSON.stringify(shape)}`)
  return sizes.filter((size) => typeof size === 'number')
}

function checkAxes({ layers }: NetworkPlan, axes: readonly unknown[]): void {
  const issues = layers.flatMap(({ layer, shape }, place) =>
    axes[place] === undefined || axes[place] === shape.length
      ? []
      : [`${layer.name}: axis ${JSON.stringify(axes[place])}`],
  )
  if (issues.length > 0) throw errors.KERAS_UNSUPPORTED({ issues })
}
