import { create } from '@bufbuild/protobuf'
import type { DataType, Tensor, TensorSpec } from '@tideway/core'
import { errors } from '../errors.js'
import { type Attributes, makeNode, splitOperator } from '../format/node.js'
import { valueInfo } from '../format/signature.js'
import { fromTensor } from '../format/tensor.js'
import { type Model, ModelSchema } from '../generated/onnx_pb.js'
import { contentsOf } from './contents.js'
import { NodeContext } from './context.js'
import { INFER } from './infer.js'
import { LOWER, type Lowering } from './lower.js'
import { exact, shareKey } from './share.js'
import { type Dim, isFloat, type Value, type ValueType } from './value.js'

/** Read by onnxruntime-node and onnxruntime-web 1.30 on every provider; ReduceMean's axes are an attribute up to here. */
export const OPSET = 17
const IR_VERSION = 8n

/** A node of a graph under construction. */
export interface BuiltNode {
  readonly name: string
  readonly opType: string
  readonly inputs: readonly (Value | undefined)[]
  readonly outputs: readonly Value[]
  readonly attributes: Attributes
  /** The nodes that it is written as; itself when left out. */
  readonly parts?: readonly BuiltNode[]
}

export interface GraphOptions {
  /** Before every name that is made. */
  readonly prefix?: string
  /**
   * Channels in a block, where convolutions may be written for ONNX Runtime's operators on blocks (`build/blocked.ts`),
   * which run only there and on processors of this block size; left out: standard operators only.
   */
  readonly block?: number | undefined
  /**
   * Operators that the engine has no kernel for: `LogSoftmax`, `MaxUnpool`, `OneHot`, `Sign`, and `Conv3D`, a Conv in
   * groups over three axes, can be written in others.
   */
  readonly without?: ReadonlySet<string> | undefined
}

export interface OpOptions {
  /** The node's name and its first output's; made from the operator and a counter when left out. */
  readonly name?: string
  readonly outputs?: number
  /** The types of the outputs of an operator without an inference rule, where they are known otherwise (from a file). */
  readonly types?: readonly ValueType[]
}

/**
 * Builds an ONNX graph, inferring types and shapes as it goes. Names come from operators and counters, so that the same
 * calls give the same bytes. Nodes and initializers that no output needs are left out of the model.
 *
 * @example
 * const g = new GraphBuilder('line')
 * const x = g.input('x', 'float32', [null, 784])
 * const w = g.initializer('w', { dtype: 'float32', shape: [784, 10], data: weights })
 * g.output('y', g.op('MatMul', [x, w]))
 * const bytes = writeModel(g.build())
 */
export class GraphBuilder {
  private readonly values = new Map<string, Value>()
  private readonly tensors = new Map<string, Tensor>()
  private readonly constantNames = new Map<string, Value>()
  private readonly shared = new Map<string, readonly Value[]>()
  private lowering = false
  private readonly contents = new Map<string, readonly Dim[]>()
  private readonly built: BuiltNode[] = []
  private readonly inputList: Value[] = []
  private readonly outputList: { readonly name: string; readonly value: Value }[] = []
  private readonly counters = new Map<string, number>()

  /** Channels in a block of ONNX Runtime's operators on blocks; undefined where only standard operators are written. */
  readonly block: number | undefined
  /** Operators that are not written. */
  readonly without: ReadonlySet<string>
  /** Images whose channels lie in blocks already, by the name of the same image in standard order. */
  readonly inBlocks = new Map<string, Value>()
  private readonly prefix: string

  constructor(
    private readonly graphName: string,
    options: GraphOptions = {},
  ) {
    this.block = options.block
    this.without = options.without ?? new Set()
    this.prefix = options.prefix ?? ''
  }

  /** The nodes so far, each after those whose outputs it takes. */
  get nodes(): readonly BuiltNode[] {
    return this.built
  }

  /** A named input. `null` as the first size is the free size "batch"; elsewhere it is one of its own. */
  input(name: string, dtype: DataType, shape: readonly (Dim | null)[]): Value {
    const named = shape.map((size, axis) => size ?? (axis === 0 ? 'batch' : `${name}_${axis}`))
    const value = this.declare(name, { dtype, shape: named })
    this.inputList.push(value)
    return value
  }

  /** A named tensor stored in the model. */
  initializer(name: string, tensor: Tensor): Value {
    const value = this.declare(name, { dtype: tensor.dtype, shape: tensor.shape })
    this.tensors.set(name, tensor)
    return value
  }

  /** A small constant; equal constants share one initializer. */
  constant(tensor: Tensor): Value {
    const key = `${tensor.dtype}[${tensor.shape.join()}]${Array.from(tensor.data as ArrayLike<unknown>, exact).join()}`
    const known = this.constantNames.get(key)
    if (known !== undefined) return known
    const value = this.initializer(this.fresh('constant'), tensor)
    this.constantNames.set(key, value)
    return value
  }

  /**
   * Adds a node and returns its first output, or the value that exists already: the same operator on the same inputs
   * with the same attributes is one node, unless a name is asked for or it draws random numbers.
   * Throws `GRAPH_INVALID` for an operator without an inference rule and for inputs that do not fit it.
   */
  op(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    options: OpOptions = {},
  ): Value {
    const [first] = this.ops(opType, inputs, attributes, options)
    if (first === undefined) throw errors.GRAPH_INVALID({ operator: opType, reason: 'it has no output' })
    return first
  }

  /** Adds a node with several outputs and returns them all; otherwise as `op`. */
  ops(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    options: OpOptions = {},
  ): Value[] {
    const rule = INFER[opType]
    if (rule === undefined && options.types === undefined)
      throw errors.GRAPH_INVALID({ operator: opType, reason: 'its output shapes cannot be inferred' })
    const count = options.outputs ?? 1
    const key = shareKey(opType, inputs, attributes, count)
    const shared = options.name === undefined && key !== undefined ? this.shared.get(key) : undefined
    if (shared !== undefined) return [...shared]
    const context = this.context(opType, inputs, attributes, count)
    const types = rule === undefined ? [...(options.types ?? [])] : rule(context)
    const name = options.name ?? this.fresh(opType)
    // What a lowering writes stands as it is.
    const lowering = this.lowering ? undefined : LOWER[opType]
    const lowered = lowering && this.lowered(lowering, context, name)
    const outputs =
      lowered?.outputs ?? types.map((type, place) => this.declare(place === 0 ? name : `${name}_${place}`, type))
    this.built.push({ name, opType, inputs, outputs, attributes, ...(lowered && { parts: lowered.parts }) })
    // Inside of a lowered node a float has no node of its own: its gradient could not be found. The engine's own operators
    // stand behind all that is differentiated.
    const hidden = this.lowering && !isOwn(opType) && types.some(({ dtype }) => isFloat(dtype))
    if (key !== undefined && !hidden && !this.shared.has(key)) this.shared.set(key, outputs)
    const contents = contentsOf(context, types)
    if (contents !== undefined) this.contents.set(name, contents)
    return outputs
  }

  private lowered(
    lowering: Lowering,
    context: NodeContext,
    name: string,
  ): { outputs: Value[]; parts: BuiltNode[] } | undefined {
    const start = this.built.length
    this.lowering = true
    try {
      const outputs = lowering(this, context, name)
      return outputs && { outputs, parts: this.built.splice(start) }
    } finally {
      this.lowering = false
    }
  }

  /** Names a value as an output of the model; it may have several names. */
  output(name: string, value: Value): void {
    this.outputList.push({ name, value })
  }

  /** A value by its name. */
  value(name: string): Value | undefined {
    return this.values.get(name)
  }

  /** The tensor of a value that is stored in the model. */
  tensorOf(name: string): Tensor | undefined {
    return this.tensors.get(name)
  }

  /** The view of a node that rules take. */
  context(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    outputs: number,
  ): NodeContext {
    return new NodeContext(
      opType,
      inputs,
      attributes,
      outputs,
      (name) => this.tensors.get(name),
      () => this.fresh('size'),
      (value) => this.contents.get(value),
    )
  }

  /** An empty graph, for the body of a loop in this one: names in it differ from those around it. */
  nested(name: string): GraphBuilder {
    return new GraphBuilder(name, { prefix: `${name}.`, without: this.without })
  }

  /** A name that nothing in this graph has. */
  fresh(prefix: string): string {
    for (;;) {
      const next = (this.counters.get(prefix) ?? 0) + 1
      this.counters.set(prefix, next)
      const name = `${this.prefix}${prefix}_${next}`
      if (!this.values.has(name)) return name
    }
  }

  /** The model: inputs in order, and only the nodes and initializers that its outputs need. */
  build(producer: { readonly name: string; readonly version: string } = { name: 'tideway', version: '' }): Model {
    const { nodes, used } = this.needed()
    const renamed = new Set(this.outputList.map((output) => output.name))
    const aliases = this.outputList.filter(({ name, value }) => name !== value.name)
    for (const { name } of aliases)
      if (this.values.has(name)) throw errors.GRAPH_INVALID({ operator: 'output', reason: `"${name}" is taken` })
    const domains = new Set(nodes.map(({ opType }) => splitOperator(opType).domain).filter((domain) => domain !== ''))
    return create(ModelSchema, {
      irVersion: IR_VERSION,
      producerName: producer.name,
      producerVersion: producer.version,
      opsetImport: [{ domain: '', version: BigInt(OPSET) }, ...[...domains].map((domain) => ({ domain, version: 1n }))],
      graph: {
        name: this.graphName,
        node: [
          ...nodes.map((node) =>
            makeNode(
              node.opType,
              node.inputs.map((value) => value?.name ?? ''),
              node.outputs.map((value) => value.name),
              node.attributes,
              node.name,
            ),
          ),
          ...aliases.map(({ name, value }) => makeNode('Identity', [value.name], [name], {}, `output_${name}`)),
        ],
        initializer: [...this.tensors]
          .filter(([name]) => used.has(name) || renamed.has(name))
          .map(([name, tensor]) => fromTensor(name, tensor)),
        input: this.inputList.map((value) => valueInfo(specFrom(value.name, value))),
        output: this.outputList.map(({ name, value }) => valueInfo(specFrom(name, value))),
      },
    })
  }

  private needed(): { nodes: BuiltNode[]; used: Set<string> } {
    const used = new Set(this.outputList.map(({ value }) => value.name))
    const nodes: BuiltNode[] = []
    for (const node of this.built.flatMap((whole) => whole.parts ?? [whole]).toReversed()) {
      if (!node.outputs.some((value) => used.has(value.name))) continue
      nodes.push(node)
      for (const value of node.inputs) if (value !== undefined) used.add(value.name)
    }
    return { nodes: nodes.reverse(), used }
  }

  private declare(name: string, type: ValueType): Value {
    if (this.values.has(name)) throw errors.GRAPH_INVALID({ operator: name, reason: 'the name is taken' })
    const value: Value = { name, dtype: type.dtype, shape: [...type.shape] }
    this.values.set(name, value)
    return value
  }
}

/** Whether an operator is an engine's and not ONNX's. */
const isOwn = (operator: string): boolean => splitOperator(operator).domain !== ''

const specFrom = (name: string, { dtype, shape }: ValueType): TensorSpec => ({
  name,
  dtype,
  shape: shape.map((size) => (typeof size === 'string' ? null : size)),
})
