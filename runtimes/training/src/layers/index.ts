import {
  INPUT,
  type LayerType,
  type NetworkConfig,
  type NetworkPlan,
  type PlannedLayer,
  planNetwork,
  type Tensor,
} from '@tideway/core'
import type { GraphBuilder, Value } from '@tideway/onnx'
import type { Forward, ForwardContext, ParameterSpec, StatisticSpec, Trainable } from '../trainable.js'
import { ACTIVATIONS, activationOf } from './activations.js'
import { attentionRules } from './attention.js'
import { columnRules, fitColumnLayers, mayMissIn } from './columns.js'
import { LayerContext } from './context.js'
import { convolutionRules } from './convolution.js'
import { denseRules } from './dense.js'
import { initialize } from './initializers.js'
import { layoutRules } from './layout.js'
import { mergeRules } from './merge.js'
import { fitNormalizations } from './moments.js'
import { normalizeRules } from './normalize.js'
import { poolingRules } from './pooling.js'
import { recurrentRules } from './recurrent.js'
import type { Flow, LayerRule, LayerRules, WeightSpec } from './rule.js'

/** How each layer type becomes a graph. To add one: its schema and shape rule in core, and its rule here. */
export const LAYERS: LayerRules<LayerType> = {
  ...denseRules,
  ...convolutionRules,
  ...poolingRules,
  ...layoutRules,
  ...normalizeRules,
  ...columnRules,
  ...recurrentRules,
  ...attentionRules,
  ...mergeRules,
}

const ruleOf = (planned: PlannedLayer): LayerRule<LayerType> => LAYERS[planned.layer.type] as LayerRule<LayerType>

/** A network's tensors by their full names, with what Keras calls and shapes them. */
export interface NamedWeight extends WeightSpec {
  readonly name: string
  readonly layer: string
  readonly kind: 'parameter' | 'statistic'
}

/** The tensors of a network: trained ones in the order of the layers, then those that are not. */
export function weightsOf({ layers }: NetworkPlan): NamedWeight[] {
  const all = (kind: NamedWeight['kind']) =>
    layers.flatMap((planned) =>
      (ruleOf(planned)[`${kind}s`]?.(planned.layer, planned) ?? []).map((spec): NamedWeight => {
        const layer = planned.layer.name
        return { ...spec, kind, layer, name: `${layer}/${spec.part}` }
      }),
    )
  return [...all('parameter'), ...all('statistic')]
}

function initialOf(spec: WeightSpec, random: () => number): Float32Array {
  if (spec.initial !== undefined) return spec.initial(random)
  const values = initialize(spec.initializer, spec.kerasShape, random)
  return spec.toGraph?.(values) ?? values
}

const noRandom = (): number => 0.5

/**
 * A network by config as training sees it. Throws `INPUT_REJECTED` naming every bad field and `NETWORK_TOO_LARGE`.
 *
 * @example
 * const network = trainableOf({ input: { name: 'x', shape: [4] }, output: { name: 'y' }, layers: [layers.dense({ units: 3 })] })
 */
export function trainableOf(config: NetworkConfig): Trainable {
  const plan = planNetwork(config)
  const weights = weightsOf(plan)
  const parameters = weights.filter(({ kind }) => kind === 'parameter')
  return {
    input: plan.input,
    output: plan.output,
    lastActivation: lastActivationOf(plan),
    parameters: parameters.map((spec): ParameterSpec => {
      const { name, shape, decays } = spec
      return { name, shape, trainable: true, decays, initial: (random) => initialOf(spec, random) }
    }),
    statistics: weights
      .filter(({ kind }) => kind === 'statistic')
      .map((spec): StatisticSpec => ({ name: spec.name, shape: spec.shape, initial: () => initialOf(spec, noRandom) })),
    mayMiss: mayMissIn(plan),
    fit: (inputs: Tensor) => new Map([...fitNormalizations(plan, inputs), ...fitColumnLayers(plan, inputs)]),
    forward: (g, rows, context, outputName) => {
      if (context.training) for (const spec of parameters) addPenalty(g, spec, context)
      return forward(g, plan, rows, context, outputName)
    },
  }
}

/** What a layer does to its own result; an lstm's activation is inside of it. */
function activationIn({ layer }: PlannedLayer) {
  const inside = layer.type === 'lstm' || layer.type === 'gru' || !('activation' in layer)
  return activationOf(inside ? 'linear' : layer.activation)
}

const LINEAR = activationOf('linear')
const RELU = activationOf('relu')

/**
 * Layers whose relu is taken behind the max pooling that alone follows them, by that one's name: the same numbers and
 * gradients, on a quarter of the elements.
 */
function lateActivations(layers: readonly PlannedLayer[]): ReadonlyMap<string, string> {
  const late = new Map<string, string>()
  for (const planned of layers) {
    const { name } = planned.layer
    const followers = layers.filter(({ layer }) => layer.inputs.includes(name))
    const [pool] = followers
    const pools = pool?.layer.type === 'maxPooling1d' || pool?.layer.type === 'maxPooling2d'
    if (followers.length === 1 && pools && activationIn(planned).type === 'relu') late.set(name, pool.layer.name)
  }
  return late
}

function lastActivationOf({ layers }: NetworkPlan): Trainable['lastActivation'] {
  const last = layers.at(-1)
  const type = last === undefined ? 'linear' : activationIn(last).type
  return type === 'softmax' || type === 'sigmoid' ? type : 'linear'
}

function forward(
  g: GraphBuilder,
  { input, layers }: NetworkPlan,
  rows: Value,
  context: ForwardContext,
  outputName: string,
): Forward {
  const flows = new Map<string, Flow>([[INPUT, { value: rows, shape: input.shape, layout: 'last' }]])
  const turned = new Map<string, Flow>()
  let result: Forward = { output: rows, logits: rows }
  const late = context.training ? lateActivations(layers) : new Map<string, string>()
  for (const [place, planned] of layers.entries()) {
    const { layer, shape } = planned
    const inputs = layer.inputs.map((name) => flows.get(name) as Flow)
    const c = new LayerContext(g, layer, inputs, shape, context, turned)
    const wanted = place === layers.length - 1 ? outputName : undefined
    const activation = late.has(layer.name) ? LINEAR : activationIn(planned)
    const behind = layers.some(({ layer: other }) => late.get(other.name) === layer.name)
    const { before, after } = addLayer(c, planned, behind ? RELU : activation, wanted)
    flows.set(layer.name, { ...after, shape })
    result = { output: after.value, logits: before.value }
  }
  return result
}

/** A layer's operators and its activation's; the network's output is channels-last and named. */
function addLayer(
  c: LayerContext,
  planned: PlannedLayer,
  { type, alpha }: ReturnType<typeof activationIn>,
  wanted?: string,
): { before: Flow; after: Flow } {
  const { g, shape } = c
  const made = ruleOf(planned).forward(c)
  const turns = wanted !== undefined && made.layout === 'first' && shape.length > 1
  const ends = type === 'linear' && !turns
  const name = (part: string) => (ends && wanted !== undefined ? wanted : `${c.layer.name}/${part}`)
  let before: Flow = 'value' in made ? made : { value: made.add(name(made.part)), shape, layout: made.layout }
  before = { ...before, shape }
  if (turns) before = c.turn(before, 'last', type === 'linear' ? wanted : undefined)
  if (type !== 'linear') {
    const axis = before.layout === 'first' && shape.length > 1 ? 1 : -1
    const value = ACTIVATIONS[type]({ g, x: before.value, name: wanted ?? `${c.layer.name}/${type}`, alpha, axis })
    const logits = type === 'softmax' || type === 'sigmoid'
    return { before: logits ? before : { ...before, value }, after: { ...before, value } }
  }
  if (wanted !== undefined && before.value.name !== wanted)
    before = { ...before, value: g.op('Identity', [before.value], {}, { name: wanted }) }
  return { before, after: before }
}

/** l1 Σ|w| + l2 Σw². */
function addPenalty(g: GraphBuilder, { name, regularizer }: NamedWeight, context: ForwardContext): void {
  if (regularizer === undefined) return
  const value = context.parameter(name)
  const sum = (part: string, opType: string, inputs: readonly Value[], factor: number): void => {
    if (factor === 0) return
    const each = g.op(opType, inputs, {}, { name: `${name}/${part}` })
    const total = g.op('ReduceSum', [each], { keepdims: 0n }, { name: `${name}/${part}_sum` })
    const weight = g.constant({ dtype: 'float32', shape: [], data: Float32Array.of(factor) })
    context.penalty(g.op('Mul', [total, weight], {}, { name: `${name}/${part}_penalty` }))
  }
  sum('l1', 'Abs', [value], regularizer.l1)
  sum('l2', 'Mul', [value, value], regularizer.l2)
}
