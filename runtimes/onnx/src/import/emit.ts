import { codeOf, type Tensor } from '@tideway/core'
import { GraphBuilder, OPSET } from '../build/graph-builder.js'
import { INFER } from '../build/infer.js'
import type { Value, ValueType } from '../build/value.js'
import { errors } from '../errors.js'
import { layerAdapters } from './adapt-layers.js'
import { layoutAdapters } from './adapt-layout.js'
import { mathAdapters } from './adapt-math.js'
import { branchOf } from './branch.js'
import { type Adapter, type Exported, NodeEmission, typed } from './emission.js'
import { folded } from './fold.js'
import { type ImportedModel, type ImportedNode, neededFor } from './model.js'

/** Constants up to this size are shared by value; larger ones are stored by name. */
const SMALL_ELEMENTS = 256

const ADAPTERS: Readonly<Record<string, Adapter>> = { ...layoutAdapters, ...mathAdapters, ...layerAdapters }

/** Operators without a rule of inference or gradient that give what is shaped like what they take, in every set from 9. */
const ALIKE = new Set(
  'Acos Acosh Asin Asinh Atan Atanh Celu Cosh LRN LpNormalization MeanVarianceNormalization Shrink Sinh Tan ThresholdedRelu'.split(
    ' ',
  ),
)

export interface EmitOptions {
  /** What stands for each input of the model; its type must be the input's. */
  readonly inputs: ReadonlyMap<string, Value>
  /** A value in place of a stored tensor (a parameter); undefined to store the tensor itself. */
  readonly tensor?: (name: string, tensor: Tensor) => Value | undefined
  /** The values to compute; the model's outputs when left out. */
  readonly outputs?: readonly string[]
  /** Other forms of operators than those for use (batch normalization and dropout while training); undefined to decline. */
  readonly overrides?: Readonly<Record<string, (e: NodeEmission) => readonly (Value | undefined)[] | undefined>>
  /** Names of values in the graph; their own when left out. Where a name is taken another is made. */
  readonly nameOf?: (value: string) => string
}

/**
 * Adds an imported model's nodes to a graph, in the operators of set 17, whatever set they were written in. Shapes that
 * the graph computes from sizes that are known become constants, and a batch size that the exporter fixed becomes that
 * of the input given. Only what `outputs` need is added. Returns the values of `outputs` by name.
 *
 * Throws `NODE_INVALID` for a node whose inputs do not fit it, `OPERATOR_UNSUPPORTED` for one whose output shapes
 * cannot be told.
 *
 * @example
 * const g = new GraphBuilder('copy')
 * const x = g.input('x', 'float32', [null, 10])
 * for (const [name, value] of emit(g, model, { inputs: new Map([['x', x]]) })) g.output(`${name}_copy`, value)
 */
export function emit(g: GraphBuilder, model: ImportedModel, options: EmitOptions): Map<string, Value> {
  const outputs = options.outputs ?? model.outputs
  const emitter = new Emitter(g, model, options, exportersRun(model, options))
  for (const node of neededFor(model.nodes, outputs)) emitter.add(node)
  return new Map(outputs.map((name) => [name, emitter.value(name)]))
}

class Emitter implements Exported {
  /** The batch of the first input. */
  readonly batch: number

  private readonly values: Map<string, Value>
  private readonly tensors: Map<string, Tensor>

  constructor(
    private readonly g: GraphBuilder,
    private readonly model: ImportedModel,
    private readonly options: EmitOptions,
    /** The same graph with the batch that the exporter fixed, where this one has another. */
    private readonly exported: Emitter | undefined,
  ) {
    this.batch = Number([...options.inputs.values()][0]?.shape[0])
    this.values = new Map(options.inputs)
    this.tensors = new Map(model.tensors)
  }

  /** The value of a name: computed before, or a tensor that is stored now. */
  value(name: string, node?: ImportedNode): Value {
    const known = this.values.get(name)
    if (known !== undefined) return known
    const tensor = this.tensors.get(name)
    if (tensor === undefined)
      throw errors.NODE_INVALID({
        node: node?.name ?? name,
        operator: node?.opType ?? 'output',
        reason: `"${name}" is not given, or is given only while training`,
      })
    const value = this.options.tensor?.(name, tensor) ?? this.stored(name, tensor)
    this.values.set(name, value)
    return value
  }

  /** The shape of a value that was added, or of a stored tensor. */
  shapeOf(name: string): Value['shape'] | undefined {
    return this.values.get(name)?.shape ?? this.tensors.get(name)?.shape
  }

  private stored(name: string, tensor: Tensor): Value {
    return tensor.data.length <= SMALL_ELEMENTS && tensor.dtype !== 'string'
      ? this.g.constant(tensor)
      : this.g.initializer(this.nameFor(name, 1), tensor)
  }

  add(node: ImportedNode): void {
    if (node.opType !== 'If') this.exported?.add(node)
    if (node.opType === 'If') {
      this.addBranch(node)
      return
    }
    const inputs = node.inputs.map((name) => (name === '' ? undefined : this.value(name, node)))
    const name = this.nameFor(node.outputs[0] || node.name, node.outputs.length)
    const e = new NodeEmission(this.g, node, this.model.opset, inputs, name, this.exported)
    const results = this.guarded(node, () => this.options.overrides?.[node.opType]?.(e) ?? this.adapted(e))
    for (const [place, output] of node.outputs.entries()) {
      const value = results[place]
      if (output === '' || value === undefined) continue
      const constant = place === 0 ? folded(this.g, node, inputs, value) : undefined
      this.values.set(output, constant ?? this.constantIfKnown(value))
    }
  }

  private adapted(e: NodeEmission): readonly (Value | undefined)[] {
    const { opType, outputs, attributes } = e.node
    const adapter = Object.hasOwn(ADAPTERS, opType) ? ADAPTERS[opType] : undefined
    if (adapter !== undefined) return adapter(e)
    if (Object.hasOwn(INFER, opType)) return e.results(opType, e.inputs, attributes, outputs.length)
    const types = this.declared(e)
    if (types === undefined)
      throw errors.OPERATOR_UNSUPPORTED({ nodes: [`"${e.node.name}" (${opType}: its output shapes cannot be told)`] })
    return e.results(opType, e.inputs, attributes, outputs.length, types)
  }

  /** The types that the file says that an unknown operator gives: it is carried through, where nothing behind it is trained. */
  private declared({ node, inputs }: NodeEmission): ValueType[] | undefined {
    const [first] = inputs
    if (ALIKE.has(node.opType) && first !== undefined && node.outputs.length === 1) return [first]
    // Written with set 17: of an operator that nobody here knows, a newer form may mean something else.
    if (this.model.opset > OPSET) return undefined
    const batch = inputs.find((value) => value !== undefined && value.shape.length > 0)?.shape[0]
    const types = node.outputs.map((name) => this.model.types.get(name))
    if (!types.every((type) => type !== undefined)) return undefined
    return types.map(({ dtype, shape }) => ({
      dtype,
      shape: shape.map((size, axis) => {
        const isBatch = axis === 0 && batch !== undefined && (size === null || size === this.exported?.batch)
        return isBatch ? batch : (size ?? this.g.fresh('size'))
      }),
    }))
  }

  /** Errors of the builder, with the node of the file in place of the operator alone. */
  private guarded<T>(node: ImportedNode, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (codeOf(error) !== 'GRAPH_INVALID') throw error
      const { reason } = (error as { data: { reason: string } }).data
      throw errors.NODE_INVALID({ node: node.name, operator: node.opType, reason }, error)
    }
  }

  /** Shape computations fold: integers that inference can tell need no node. */
  private constantIfKnown(value: Value): Value {
    if (this.g.tensorOf(value.name) !== undefined) return value
    const sizes = this.g.context('', [value], {}, 1).sizes(0)
    if (sizes === undefined || !sizes.every((size) => typeof size === 'number')) return value
    const tensor = typed(value.dtype, sizes.map(Number), value.shape.map(Number))
    return tensor === undefined ? value : this.g.constant(tensor)
  }

  /** An If whose condition is known is the one branch that is taken; others are control flow. */
  private addBranch(node: ImportedNode): void {
    const condition = this.g.context('If', [this.value(node.inputs[0] ?? '', node)], {}, 1).constantInts(0)?.[0]
    if (condition === undefined)
      throw errors.OPERATOR_UNSUPPORTED({
        nodes: [`"${node.name}" (If: control flow on what is known only at run time; export without it)`],
      })
    const branch = branchOf(node, condition !== 0)
    for (const [name, tensor] of branch.tensors) this.tensors.set(name, tensor)
    for (const inner of branch.nodes) this.add(inner)
    for (const [place, name] of branch.outputs.entries())
      this.values.set(node.outputs[place] ?? '', this.value(name, node))
  }

  private nameFor(wanted: string, outputs: number): string {
    const name = this.options.nameOf?.(wanted) ?? wanted
    const names = Array.from({ length: outputs }, (_, place) => (place === 0 ? name : `${name}_${place}`))
    return names.some((item) => this.g.value(item) !== undefined) || name === '' ? this.g.fresh(name || 'node') : name
  }
}

/** A second emitter, into a graph of its own, where an input's batch is another than the exporter's. */
function exportersRun(model: ImportedModel, { inputs }: EmitOptions): Emitter | undefined {
  const fixed = model.inputs.some(({ name, shape }) => {
    const given = inputs.get(name)?.shape[0]
    return typeof shape[0] === 'number' && given !== undefined && shape[0] !== given
  })
  if (!fixed) return undefined
  const g = new GraphBuilder('exported')
  const own = new Map(
    model.inputs.map(({ name, dtype, shape }) => {
      const given = inputs.get(name)?.shape ?? []
      return [
        name,
        g.input(
          name,
          dtype,
          shape.map((size, axis) => size ?? given[axis] ?? null),
        ),
      ] as const
    }),
  )
  return new Emitter(g, model, { inputs: own }, undefined)
}
