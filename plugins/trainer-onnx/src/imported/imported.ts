import {
  cutAt,
  ELEMENT_TYPE,
  emit,
  featuresOf,
  GraphBuilder,
  type ImportedModel,
  importModel,
  nearest,
  type Value,
  type Weight,
  weightsOf,
} from '@tideway/onnx'
import type { Forward, ForwardContext, ParameterSpec, StatisticSpec, Trainable } from '../trainable.js'
import { fits } from './glob.js'
import { addHead, HEAD, headParameters, pooled, unitsOf } from './head.js'
import { batchStatistics, NORMALIZATION, type Normalization, normalizationsOf } from './normalization.js'
import { notesOn } from './notes.js'
import { checkOptions, type FineTuneOptions, type HeadOptions, refuse } from './options.js'

/** A network made of an ONNX file, and what is to be said of it. */
export interface ImportedTrainable extends Trainable {
  /** Plain words: what is frozen, what became of batch normalizations, what was left out. */
  readonly notes: readonly string[]
}

/** Values of the file are named so in training graphs: none is called like an input of the step. */
const PREFIX = 'model/'
/** Names that training graphs have themselves. */
const TAKEN = /^(rows|targets|learning_rate|step|loss|correct|prediction|mask\/.*|\/small_.*|head\/.*)$/

/**
 * Makes an ONNX model trainable: cut, frozen in part, with another head, as `options` say. The model must have one
 * input with the batch as its first axis; its weights are those of `weightsOf`. With nothing trained, the model that is
 * shipped computes what the file does.
 *
 * Throws what `importModel`, `cutAt` and `emit` throw, and `TRAIN_CONFIG_INVALID` naming every field that does not fit
 * the model (patterns that match nothing among them).
 *
 * @example
 * const network = importTrainable(await readFile('mobilenet.onnx'), { freeze: ['*'], head: { classes: 5 } })
 * for (const note of network.notes) console.log(note)
 */
export function importTrainable(source: Uint8Array | ImportedModel, options: FineTuneOptions = {}): ImportedTrainable {
  checkOptions(options)
  const whole = source instanceof Uint8Array ? importModel(source) : source
  return new Imported(whole, cut(whole, options), options)
}

function cut(model: ImportedModel, { cutAt: at, head }: FineTuneOptions): ImportedModel {
  if (at !== undefined) return cutAt(model, at)
  if (head !== undefined) {
    const features = featuresOf(model)
    if (features === undefined)
      refuse(['cutAt: the model has no dense layer that a head could replace; say where to cut it'])
    else
      return model.inputs.some(({ name }) => name === features)
        ? { ...model, outputs: [features], nodes: [] }
        : cutAt(model, features)
  }
  if (model.outputs.length !== 1)
    refuse([`cutAt: the model has ${model.outputs.length} outputs (${model.outputs.join(', ')}); say which to train`])
  return model
}

class Imported implements ImportedTrainable {
  readonly input: Trainable['input']
  readonly output: Trainable['output']
  readonly lastActivation: Trainable['lastActivation']
  readonly parameters: readonly ParameterSpec[]
  readonly statistics: readonly StatisticSpec[]
  readonly notes: readonly string[]
  private readonly parameterNames: ReadonlyMap<string, string>
  private readonly trained: ReadonlyMap<string, Normalization>
  private readonly statisticNames: ReadonlySet<string>
  /** The value of the file that losses take: before a last softmax or sigmoid. */
  private readonly logits: string
  private readonly head: HeadOptions | undefined

  constructor(
    whole: ImportedModel,
    private readonly model: ImportedModel,
    options: FineTuneOptions,
  ) {
    this.head = options.head
    this.input = inputOf(model, options)
    const weights = weightsOf(model)
    const frozen = frozenOf(whole, weights, options.freeze ?? [])
    this.parameterNames = new Map(weights.map(({ name }) => [name, safe(name)]))
    const own = weights.map((weight) => parameterOf(weight, safe(weight.name), !frozen.has(weight.name)))
    const all = normalizationsOf(model)
    const isTrained = ({ scale, bias }: Normalization): boolean =>
      [scale, bias].some((name) => this.parameterNames.has(name) && !frozen.has(name))
    this.trained = new Map(all.filter(isTrained).map((item) => [item.node.name, item]))
    this.statisticNames = new Set([...this.trained.values()].flatMap(({ mean, variance }) => [mean, variance]))
    this.statistics = [...this.statisticNames].map((name) => statisticOf(model, name))

    this.logits = model.outputs[0] ?? ''
    const features = this.shapeOf()
    const activation = options.head === undefined ? lastActivationOf(model, features.length + 1) : undefined
    if (activation !== undefined) this.logits = activation.logits
    this.lastActivation = activation?.type ?? (options.head?.classes === undefined ? 'linear' : 'softmax')
    this.output = {
      name: whole.outputs[0] ?? 'output',
      shape: options.head === undefined ? features : [unitsOf(options.head)],
    }
    this.parameters = [...own, ...(options.head === undefined ? [] : headParameters(options.head, features[0] ?? 1))]
    if (!this.parameters.some(({ trainable }) => trainable))
      refuse([
        weights.length === 0
          ? 'the model has no float32 weights that could be trained'
          : 'freeze: every weight is frozen and there is no head to train',
      ])
    this.notes = notesOn(model, this.parameters, all, new Set(this.trained.values()))
  }

  forward(g: GraphBuilder, rows: Value, context: ForwardContext, outputName: string): Forward {
    const { head, lastActivation } = this
    const isLast = head === undefined && lastActivation === 'linear'
    const value = this.body(g, rows, context, isLast ? outputName : `${PREFIX}${this.logits}`)
    const logits =
      head === undefined
        ? value
        : addHead(g, pooled(g, value, head), head, context, lastActivation === 'linear' ? outputName : 'head/logits')
    if (lastActivation === 'softmax')
      return { logits, output: g.op('Softmax', [logits], { axis: -1n }, { name: outputName }) }
    if (lastActivation === 'sigmoid') return { logits, output: g.op('Sigmoid', [logits], {}, { name: outputName }) }
    // A value that only passes through (a cut at the input, a dropout at the end) keeps the name that it has.
    const output = logits.name === outputName ? logits : g.op('Identity', [logits], {}, { name: outputName })
    return { logits, output }
  }

  /** The file's nodes up to the logits. */
  private body(g: GraphBuilder, rows: Value, context: ForwardContext, lastName: string): Value {
    const [input] = this.model.inputs
    const dtype = input?.dtype ?? 'float32'
    const x = dtype === 'float32' ? rows : g.op('Cast', [rows], { to: BigInt(ELEMENT_TYPE[dtype]) })
    const dropouts = context.training ? activeDropouts(this.model, this.parameters) : new Set<string>()
    const values = emit(g, this.model, {
      inputs: new Map([[input?.name ?? '', x]]),
      outputs: [this.logits],
      tensor: (name) => {
        const parameter = this.parameterNames.get(name)
        if (parameter !== undefined) return context.parameter(parameter)
        return this.statisticNames.has(name) ? context.statistic(safe(name)) : undefined
      },
      nameOf: (value) => (value === this.logits ? lastName : `${PREFIX}${value}`),
      overrides: {
        [NORMALIZATION]: (e) => {
          const names = context.training ? this.trained.get(e.node.name) : undefined
          return (
            names && batchStatistics(e, context, { ...names, mean: safe(names.mean), variance: safe(names.variance) })
          )
        },
        Dropout: (e) => {
          const rate = Number(e.constant(1)?.data[0] ?? e.float('ratio', 0.5))
          if (!dropouts.has(e.node.name) || !(rate > 0 && rate < 1)) return undefined
          return e.result('Mul', [e.in(0), context.mask(e.node.name, rate, e.in(0).shape)])
        },
      },
    })
    return values.get(this.logits) as Value
  }

  /** One row's shape of what the file gives, or of the features that the head takes, by building the graph once. */
  private shapeOf(): number[] {
    // With a free batch first; some exports tell sizes only once all are known.
    for (const batch of [null, 2]) {
      const g = new GraphBuilder('shape')
      const rows = g.input('rows', 'float32', [batch, ...this.input.shape])
      const value = this.body(g, rows, dry(g, this.model), 'value')
      const [first, ...rest] = this.head === undefined ? value.shape : pooled(g, value, this.head).shape
      if (first === rows.shape[0] && rest.every((size) => typeof size === 'number')) return rest.map(Number)
    }
    refuse([`the shape of "${this.logits}" behind the batch cannot be told; export the model with constant shapes`])
    return []
  }
}

const safe = (name: string): string => (TAKEN.test(name) ? `${PREFIX}${name}` : name)

function inputOf({ inputs }: ImportedModel, { inputShape }: FineTuneOptions): Trainable['input'] {
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
function frozenOf(whole: ImportedModel, weights: readonly Weight[], patterns: readonly string[]): Set<string> {
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

function parameterOf({ tensor, role }: Weight, name: string, trainable: boolean): ParameterSpec {
  const data = tensor.data as Float32Array
  return {
    name,
    shape: tensor.shape,
    trainable,
    decays: role === 'kernel' || role === 'embedding',
    initial: () => (trainable ? data.slice() : data),
  }
}

function statisticOf({ tensors }: ImportedModel, name: string): StatisticSpec {
  const tensor = tensors.get(name)
  return {
    name: safe(name),
    shape: tensor?.shape ?? [],
    initial: () => (tensor?.data as Float32Array).slice(),
  }
}

/** A softmax along the last axis, or a sigmoid, that nothing comes after. */
function lastActivationOf(
  { nodes, outputs }: ImportedModel,
  rank: number,
): { readonly type: 'softmax' | 'sigmoid'; readonly logits: string } | undefined {
  const last = nodes.findLast((node) => node.outputs.includes(outputs[0] ?? ''))
  const logits = last?.inputs[0] ?? ''
  if (last?.opType === 'Sigmoid') return { type: 'sigmoid', logits }
  if (last?.opType !== 'Softmax') return undefined
  const axis = Number(last.attributes['axis'] ?? (rank === 2 ? 1 : -1))
  return axis === -1 || axis === rank - 1 ? { type: 'softmax', logits } : undefined
}

/** Dropouts of the file that no frozen weight comes after: those inside of frozen parts stay off. */
function activeDropouts({ nodes }: ImportedModel, parameters: readonly ParameterSpec[]): Set<string> {
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

/** Gives every tensor as an input: only shapes are wanted. */
function dry(g: GraphBuilder, { tensors }: ImportedModel): ForwardContext {
  const take = (name: string): Value => {
    const stored = tensors.get(name) ?? tensors.get(name.slice(PREFIX.length))
    return g.value(`dry/${name}`) ?? g.input(`dry/${name}`, 'float32', stored?.shape ?? [])
  }
  const never = (): never => {
    throw new TypeError('only a training step has this')
  }
  return { training: false, parameter: take, statistic: take, update: never, mask: never, penalty: never }
}

export { HEAD }
