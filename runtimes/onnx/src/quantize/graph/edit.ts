import { create } from '@bufbuild/protobuf'
import type { Tensor } from '@tideway/core'
import { graphOf } from '../../format/node.js'
import { fromTensor } from '../../format/tensor.js'
import {
  type Graph,
  type Model,
  type Node,
  OperatorSetIdSchema,
  type TensorData,
  TensorDataSchema,
} from '../../generated/onnx_pb.js'
import { capturedBy } from '../view.js'

/** The domain of ONNX Runtime's own operators. */
export const MICROSOFT = 'com.microsoft'

/** Element types without an array in JavaScript. */
export const PACKED_TYPE = { uint4: 21, int4: 22 } as const

/** Changes to a graph: new constants under free names, nodes in place of others, and a clean-up at the end. */
export class GraphEdit {
  readonly graph: Graph
  private readonly taken: Set<string>
  private readonly changes = new Map<Node, Node[]>()
  private readonly heads: Node[] = []
  private readonly tails: Node[] = []

  constructor(private readonly model: Model) {
    this.graph = graphOf(model)
    const { node, initializer, input, output } = this.graph
    this.taken = new Set(node.flatMap((item) => [...item.input, ...item.output, ...capturedBy(item)]))
    for (const { name = '' } of [...initializer, ...input, ...output]) this.taken.add(name)
  }

  /** `wanted`, or that with a number behind it where it is taken. */
  fresh(wanted: string): string {
    let name = wanted
    for (let i = 2; this.taken.has(name); i++) name = `${wanted}_${i}`
    this.taken.add(name)
    return name
  }

  constant(wanted: string, tensor: Tensor): string {
    return this.add(fromTensor(this.fresh(wanted), tensor))
  }

  /** A constant of packed bytes. */
  packed(wanted: string, shape: readonly number[], type: keyof typeof PACKED_TYPE, rawData: Uint8Array): string {
    const name = this.fresh(wanted)
    return this.add(create(TensorDataSchema, { name, dims: shape.map(BigInt), dataType: PACKED_TYPE[type], rawData }))
  }

  /** Nodes that depend on constants alone; they come first. */
  before(...nodes: readonly Node[]): void {
    this.heads.push(...nodes)
  }

  /** Nodes that only outputs depend on; they come last. */
  after(...nodes: readonly Node[]): void {
    this.tails.push(...nodes)
  }

  /** Puts nodes in the place of one; none takes it out. */
  replace(node: Node, by: readonly Node[]): void {
    this.changes.set(node, [...by])
  }

  /** ONNX Runtime's own operators may be used from here on. */
  importMicrosoft(): void {
    const { opsetImport } = this.model
    if (!opsetImport.some(({ domain }) => domain === MICROSOFT))
      opsetImport.push(create(OperatorSetIdSchema, { domain: MICROSOFT, version: 1n }))
  }

  /** Does the replacements and takes out constants that nothing reads any more. */
  finish(): void {
    const { graph } = this
    const candidates = new Set([...this.changes.keys()].flatMap((node) => [...node.input, ...node.output]))
    const changed = graph.node.flatMap((node) => this.changes.get(node) ?? [node])
    graph.node = [...this.heads, ...changed, ...this.tails]
    const used = new Set(graph.output.map((info) => info.name))
    for (const node of graph.node) for (const name of [...node.input, ...capturedBy(node)]) used.add(name)
    const made = new Set(graph.node.flatMap((node) => node.output))
    const dead = (name = '') => candidates.has(name) && !used.has(name)
    const replaced = (name = '') => dead(name) || made.has(name)
    const weights = new Set(graph.initializer.map((tensor) => tensor.name))
    graph.input = graph.input.filter((info) => !(weights.has(info.name) && replaced(info.name)))
    graph.initializer = graph.initializer.filter((tensor) => !replaced(tensor.name))
    graph.node = graph.node.filter((node) => node.opType !== 'Constant' || !dead(node.output[0]))
    graph.valueInfo = graph.valueInfo.filter(({ name = '' }) => !candidates.has(name) || made.has(name))
  }

  private add(tensor: TensorData): string {
    this.graph.initializer.push(tensor)
    return tensor.name ?? ''
  }
}
