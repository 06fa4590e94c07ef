import type { ResolvedQuantizationAware } from '@tideway/core'
import {
  type AwareModel,
  ELEMENT_TYPE,
  emit,
  FAKE_QUANTIZE,
  type GraphBuilder,
  graphOf,
  type ImportedModel,
  type ImportedNode,
  importModel,
  readModel,
  setInitializer,
  type Value,
  weightsOf,
  writeModel,
  writeRounding,
} from '@tideway/onnx'
import { lastActivationOf, PREFIX, parameterOf, safe } from '../imported/parts.js'
import type { Forward, ForwardContext, ParameterSpec, StatisticSpec, Trainable } from '../trainable.js'
import { extremes, type Grid, gridOf, weightScale } from './rounding.js'

/** The name of a group's range among statistics; no tensor of a file is trained under such a name. */
const rangeName = (group: string): string => `/range/${group}`
const roundedName = (value: string): string => `${value}/rounded`

/** A network trained with rounding, which is written as the float file that it began as, with other weights. */
export type AwareTrainable = Trainable & Required<Pick<Trainable, 'write'>>

/**
 * A float model whose weights and activations are rounded in every forward pass as static int8 will round them. Weights
 * get a scale for each output channel from what they are; activations a range for each group of tensors, the running
 * minimum and maximum of what batches held. `plain` is the network that the model was written of; those of its frozen
 * weights that still are what they were stay frozen.
 */
export function awareTrainable(
  aware: AwareModel,
  plain: Trainable,
  { weightBits, rangeMomentum }: Pick<ResolvedQuantizationAware, 'weightBits' | 'rangeMomentum'>,
): AwareTrainable {
  const file = importModel(aware.onnx)
  const model = rounded(file, aware)
  const activation = lastActivationOf(model, plain.output.shape.length + 1)
  const logits = activation?.logits ?? model.outputs[0] ?? ''
  const frozen = new Set(plain.parameters.flatMap(({ name, trainable }) => (trainable ? [] : [name])))
  const weights = weightsOf(file)
  const parameters = weights.map((weight): ParameterSpec => {
    const name = safe(weight.name)
    return parameterOf(weight, name, !frozen.has(name))
  })
  const names = new Map(weights.map(({ name }) => [name, safe(name)]))
  const groups = [...new Set(aware.tensors.map(({ group }) => group))]
  const statistics = groups.map((group): StatisticSpec => {
    const { min, max } = aware.ranges.get(group) ?? { min: 0, max: 0 }
    return { name: rangeName(group), shape: [2], initial: () => Float32Array.of(min, max) }
  })
  const [input] = model.inputs

  const body = (g: GraphBuilder, rows: Value, context: ForwardContext, lastName: string): Value => {
    const dtype = input?.dtype ?? 'float32'
    const x = dtype === 'float32' ? rows : g.op('Cast', [rows], { to: BigInt(ELEMENT_TYPE[dtype]) })
    const grids = new Map<string, Grid>()
    const seen = new Map<string, Value[]>()
    const round = (value: Value, { group, isSource }: AwareModel['tensors'][number]): (Value | undefined)[] => {
      if (isSource) seen.set(group, [...(seen.get(group) ?? []), value])
      const grid = grids.get(group) ?? gridOf(g, context.statistic(rangeName(group)))
      grids.set(group, grid)
      return [value, grid.scale, grid.low, grid.high]
    }
    const tensors = new Map(aware.tensors.map((tensor) => [roundedName(tensor.name), tensor]))
    const axes = new Map(aware.weights.map((weight) => [roundedName(weight.name), weight.axis]))
    const values = emit(g, model, {
      inputs: new Map([[input?.name ?? '', x]]),
      outputs: [logits],
      tensor: (name) => {
        const parameter = names.get(name)
        return parameter === undefined ? undefined : context.parameter(parameter)
      },
      nameOf: (value) => (value === logits ? lastName : `${PREFIX}${value}`),
      overrides: {
        [FAKE_QUANTIZE]: (e) => {
          const [output = ''] = e.node.outputs
          const tensor = tensors.get(output)
          if (tensor !== undefined) return e.result(FAKE_QUANTIZE, round(e.in(0), tensor))
          return e.result(FAKE_QUANTIZE, [e.in(0), weightScale(g, e.in(0), axes.get(output) ?? 0, weightBits)])
        },
      },
    })
    if (context.training)
      for (const [group, sources] of seen)
        context.update(rangeName(group), moved(g, context, group, sources, rangeMomentum))
    return values.get(logits) as Value
  }

  return {
    input: plain.input,
    output: plain.output,
    lastActivation: activation?.type ?? 'linear',
    parameters,
    statistics,
    ...(plain.mayMiss && { mayMiss: plain.mayMiss }),
    forward(g, rows, context, outputName): Forward {
      const isLast = activation === undefined
      const value = body(g, rows, context, isLast ? outputName : `${PREFIX}${logits}`)
      if (activation?.type === 'softmax')
        return { logits: value, output: g.op('Softmax', [value], { axis: -1n }, { name: outputName }) }
      if (activation?.type === 'sigmoid')
        return { logits: value, output: g.op('Sigmoid', [value], {}, { name: outputName }) }
      const output = value.name === outputName ? value : g.op('Identity', [value], {}, { name: outputName })
      return { logits: value, output }
    },
    write(tensors) {
      const written = readModel(aware.onnx)
      const graph = graphOf(written)
      for (const { name, tensor } of weights) {
        const data = tensors[safe(name)]
        if (data !== undefined) setInitializer(graph, name, { dtype: 'float32', shape: tensor.shape, data })
      }
      const ranges = groups.map((group) => {
        const [min = 0, max = 0] = tensors[rangeName(group)] ?? []
        return [group, { min, max }] as const
      })
      writeRounding(written, { weightBits, ranges: Object.fromEntries(ranges) })
      return writeModel(written)
    },
  }
}

/** A range after a step: mostly what it was. */
function moved(
  g: GraphBuilder,
  context: ForwardContext,
  group: string,
  sources: readonly Value[],
  momentum: number,
): Value {
  const number = (value: number): Value => g.constant({ dtype: 'float32', shape: [], data: Float32Array.of(value) })
  return g.op('Add', [
    g.op('Mul', [context.statistic(rangeName(group)), number(momentum)]),
    g.op('Mul', [extremes(g, sources), number(1 - momentum)]),
  ])
}

/** The same graph with a node that rounds behind every tensor that is carried as integers, and every such weight. */
function rounded(model: ImportedModel, { tensors, weights }: AwareModel): ImportedModel {
  const all = new Set([...tensors.filter(({ readers }) => readers === undefined), ...weights].map(({ name }) => name))
  const some = new Map(tensors.map(({ name, readers = [] }) => [name, new Set(readers)]))
  const roundingOf = (name: string): ImportedNode => ({
    name: roundedName(name),
    opType: FAKE_QUANTIZE,
    inputs: [name],
    outputs: [roundedName(name)],
    attributes: {},
    graphs: new Map(),
    captured: [],
  })
  const made = new Set(model.nodes.flatMap(({ outputs }) => outputs))
  const wanted = new Set([...tensors, ...weights].map(({ name }) => name))
  const nodes = [...wanted].filter((name) => !made.has(name)).map(roundingOf)
  for (const node of model.nodes) {
    const first = node.outputs[0] ?? ''
    const inputs = node.inputs.map((name) =>
      all.has(name) || some.get(name)?.has(first) === true ? roundedName(name) : name,
    )
    nodes.push({ ...node, inputs }, ...node.outputs.filter((name) => wanted.has(name)).map(roundingOf))
  }
  return { ...model, nodes, outputs: model.outputs.map((name) => (all.has(name) ? roundedName(name) : name)) }
}
