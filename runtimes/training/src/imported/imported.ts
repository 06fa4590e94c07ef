import {
  cutAt,
  ELEMENT_TYPE,
  emit,
  featuresOf,
  GraphBuilder,
  type ImportedModel,
  importModel,
  type Value,
  weightsOf,
} from '@tideway/onnx'
import type { Forward, ForwardContext, ParameterSpec, StatisticSpec, Trainable } from '../trainable.js'
import { addHead, headParameters, pooled, unitsOf } from './head.js'
import { batchStatistics, NORMALIZATION, type Normalization, normalizationsOf } from './normalization.js'
import { notesOn } from './notes.js'
import { checkOptions, type FineTuneOptions, type HeadOptions, refuse } from './options.js'
import { activeDropouts, frozenOf, inputOf, lastActivationOf, PREFIX, parameterOf, safe, statisticOf } from './parts.js'

/** A network made of an ONNX file, and what is to be said of it. */
export interface ImportedTrainable extends Trainable {
  /** Plain words: what is frozen, what became of batch normalizations, what was left out. */
  readonly notes: readonly string[]
}

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
    this.notes = notesOn(model, weights, this.parameters, all, new Set(this.trained.values()))
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
