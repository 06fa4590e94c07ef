import type { ResolvedQuantizationAware } from '@tideway/core'
import {
  type AwareModel,
  ELEMENT_TYPE,
  emit,
  FAKE_QUANTIZE,
  floats,
  type GraphBuilder,
  graphOf,
  importModel,
  readModel,
  setInitializer,
  type Value,
  weightsOf,
  writeModel,
  writeRounding,
} from '@tideway/onnx'
import {
  type Forward,
  type ForwardContext,
  lastActivationOf,
  NORMALIZATION,
  type ParameterSpec,
  PREFIX,
  parameterOf,
  type StatisticSpec,
  safe,
  type Trainable,
} from '@tideway/training'
import { type Kernel, kernelOf } from './kernel.js'
import { averaging, type Normalization, normalizationOf, onlySeen } from './normalization.js'
import { rounded, roundedName } from './rounded.js'
import { extremes, type Grid, gridOf, weightScale } from './rounding.js'

/** The name of a group's range among statistics; no tensor of a file is trained under such a name. */
const rangeName = (group: string): string => `/range/${group}`
/** Among statistics: batches seen. */
const SEEN = '/seen'

/** A network trained with rounding, which is written as the float file that it began as, with other weights. */
export type AwareTrainable = Trainable & Required<Pick<Trainable, 'write'>>

/**
 * A float model whose weights and activations are rounded in every forward pass as static int8 will round them. Weights
 * get a scale for each output channel (see `kernelOf`); activations a range for each group of tensors, the running
 * minimum and maximum of what batches held. Layers that were normalized are again (see `normalizationOf`). `plain` is the
 * network that the model was written of; those of its frozen weights that still are what they were stay frozen.
 */
export function awareTrainable(
  aware: AwareModel,
  plain: Trainable,
  { weightBits, rangeMomentum }: Pick<ResolvedQuantizationAware, 'weightBits' | 'rangeMomentum'>,
): AwareTrainable {
  const file = importModel(aware.onnx)
  const frozen = new Set(plain.parameters.flatMap(({ name, trainable }) => (trainable ? [] : [name])))
  const isTrained = (name: string): boolean => !frozen.has(safe(name))
  const weights = weightsOf(file)
  const tensorOf = new Map(weights.map((weight) => [weight.name, weight.tensor]))
  const kernels = new Map<string, Kernel>(
    aware.weights.flatMap((weight) => {
      const found = weights.find(({ name }) => name === weight.name)
      if (found === undefined) return []
      const spec = parameterOf(found, safe(found.name), isTrained(found.name))
      return [[found.name, kernelOf(weight, found, spec, weightBits)] as const]
    }),
  )
  const normalizations = new Map<string, Normalization>(
    aware.normalized.flatMap((layer) => {
      const [kernel, bias] = [kernels.get(layer.weight), tensorOf.get(layer.bias)]
      if (kernel === undefined || bias === undefined || ![layer.weight, layer.bias].every(isTrained)) return []
      return [[layer.output, normalizationOf(layer, kernel.units, bias.data as Float32Array)] as const]
    }),
  )
  const all = [...normalizations.values()]
  const biases = new Set(all.map(({ layer }) => layer.bias))
  const others = weights.filter(({ name }) => !kernels.has(name) && !biases.has(name))
  const names = new Map(others.map(({ name }) => [name, safe(name)]))
  const parameters: ParameterSpec[] = [
    ...[...kernels.values()].flatMap((kernel) => kernel.parameters),
    ...others.map((weight) => parameterOf(weight, safe(weight.name), isTrained(weight.name))),
    ...all.flatMap((normalization) => normalization.parameters),
  ]
  const groups = [...new Set(aware.tensors.map(({ group }) => group))]
  const statistics: StatisticSpec[] = [
    { name: SEEN, shape: [], initial: () => new Float32Array(1) },
    ...groups.map((group) => {
      const { min, max } = aware.ranges.get(group) ?? { min: 0, max: 0 }
      return { name: rangeName(group), shape: [2], initial: () => Float32Array.of(min, max) }
    }),
    ...all.flatMap((normalization) => normalization.statistics),
  ]
  const model = rounded(file, aware, new Set(normalizations.keys()))
  const activation = lastActivationOf(model, plain.output.shape.length + 1)
  const logits = activation?.logits ?? model.outputs[0] ?? ''
  const [input] = model.inputs
  const tensors = new Map(aware.tensors.map((tensor) => [roundedName(tensor.name), tensor]))
  const axes = new Map(aware.weights.map((weight) => [weight.name, weight.axis]))
  const normalized = new Set(all.map(({ layer }) => layer.weight))

  /** A layer's weight on its grid; normalization takes it in its units, as another factor changes nothing there. */
  const weightOf = (g: GraphBuilder, name: string, kernel: Kernel, value: Value, context: ForwardContext): Value => {
    const grid = kernel.rounded(g, value, context)
    if (normalized.has(name)) return grid
    const shape = value.shape.map((size, at) => (at === axes.get(name) ? Number(size) : 1))
    return g.op('Mul', [grid, g.constant({ dtype: 'float32', shape, data: kernel.units })])
  }

  const body = (g: GraphBuilder, rows: Value, context: ForwardContext, lastName: string): Value => {
    const dtype = input?.dtype ?? 'float32'
    const x = dtype === 'float32' ? rows : g.op('Cast', [rows], { to: BigInt(ELEMENT_TYPE[dtype]) })
    const grids = new Map<string, Grid>()
    const seen = new Map<string, Value[]>()
    const moved = !context.training
      ? undefined
      : context.estimating === true
        ? onlySeen
        : averaging(rangeMomentum, context.statistic(SEEN))
    const round = (value: Value, { group, isSource }: AwareModel['tensors'][number]): (Value | undefined)[] => {
      if (isSource) seen.set(group, [...(seen.get(group) ?? []), value])
      const grid = grids.get(group) ?? gridOf(g, context.statistic(rangeName(group)))
      grids.set(group, grid)
      return [value, grid.scale, grid.low, grid.high]
    }
    const values = emit(g, model, {
      inputs: new Map([[input?.name ?? '', x]]),
      outputs: [logits],
      tensor: (name) => {
        const parameter = names.get(name)
        return kernels.get(name)?.value(context) ?? (parameter === undefined ? undefined : context.parameter(parameter))
      },
      nameOf: (value) => (value === logits ? lastName : `${PREFIX}${value}`),
      overrides: {
        [FAKE_QUANTIZE]: (e) => {
          const tensor = tensors.get(e.node.outputs[0] ?? '')
          if (tensor !== undefined) return e.result(FAKE_QUANTIZE, round(e.in(0), tensor))
          const [name = ''] = e.node.inputs
          const kernel = kernels.get(name)
          // What is no weight to the importer stays as it is (a single number, say), and is rounded by what it is.
          if (kernel === undefined)
            return e.result(FAKE_QUANTIZE, [e.in(0), weightScale(g, e.in(0), axes.get(name) ?? 0, weightBits)])
          return [weightOf(g, name, kernel, e.in(0), context)]
        },
        [NORMALIZATION]: (e) => normalizations.get(e.node.outputs[0] ?? '')?.emit(e, context, moved),
      },
    })
    if (moved !== undefined) {
      context.update(SEEN, g.op('Add', [context.statistic(SEEN), g.constant(floats('float32', [1]))]))
      for (const [group, sources] of seen)
        context.update(rangeName(group), moved(g, context.statistic(rangeName(group)), extremes(g, sources)))
    }
    return values.get(logits) as Value
  }

  return {
    input: plain.input,
    output: plain.output,
    lastActivation: activation?.type ?? 'linear',
    parameters,
    statistics,
    estimated: all.flatMap((normalization) => normalization.statistics.map(({ name }) => name)),
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
    write(trained) {
      const written = readModel(aware.onnx)
      const graph = graphOf(written)
      const store = (name: string, data: Float32Array | undefined): void => {
        const shape = tensorOf.get(name)?.shape ?? []
        if (data !== undefined) setInitializer(graph, name, { dtype: 'float32', shape, data })
      }
      const factors = new Map<string, Float32Array>()
      for (const normalization of all) {
        const { layer } = normalization
        const { factors: own, bias } = normalization.folded(trained)
        factors.set(layer.weight, own)
        store(layer.bias, bias)
      }
      const scales: Record<string, number[]> = {}
      for (const [name, kernel] of kernels) {
        const shipped = kernel.shipped(trained, factors.get(name) ?? kernel.units)
        store(name, shipped?.data)
        if (shipped?.scales !== undefined) scales[name] = Array.from(shipped.scales)
      }
      for (const { name } of others) store(name, trained[safe(name)])
      const ranges = groups.map((group) => {
        const [min = 0, max = 0] = trained[rangeName(group)] ?? []
        return [group, { min, max }] as const
      })
      writeRounding(written, { weightBits, ranges: Object.fromEntries(ranges), scales })
      return writeModel(written)
    },
  }
}
