import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tideway/core'
import { attributesOf, type Graph, graphOf, type Model, type Node, toTensor } from '@tideway/onnx'
import { errors } from '../errors.js'
import { KERNELS } from '../operators/index.js'
import { hostOf } from './host.js'
import { type Held, NodeContext } from './node.js'

/** Numbers that say what a node is to do are few; larger tensors are data. */
const MAX_HOST = 4096

/** A graph of ONNX operators as TensorFlow.js runs it: node by node, each tensor freed behind the last node that takes it. */
export class Program {
  private readonly graph: Graph
  private readonly constants = new Map<string, Held>()
  /** Those of graphs inside of nodes (loops). */
  private readonly bodies = new Map<Graph, ReadonlyMap<string, Held>>()

  /** Throws `TFJS_GRAPH_UNSUPPORTED` naming every operator that has no kernel here. */
  constructor(model: Model) {
    this.graph = graphOf(model)
    checkOperators(this.graph)
    this.hold(this.graph, this.constants)
  }

  get inputs(): ReadonlySet<string> {
    return new Set(this.graph.input.map(({ name }) => name ?? ''))
  }

  /** The outputs by name; they and the inputs are the caller's to dispose. */
  run(inputs: Readonly<Record<string, tf.Tensor>>): Record<string, tf.Tensor> {
    const given = new Map(Object.entries(inputs).map(([name, tensor]): [string, Held] => [name, { tensor }]))
    const names = this.graph.output.map(({ name }) => name ?? '')
    const outputs = this.execute(this.graph, this.constants, given)
    return Object.fromEntries(names.map((name, at) => [name, outputs[at] as tf.Tensor]))
  }

  /** Frees the constants; the program is done. */
  dispose(): void {
    for (const held of [this.constants, ...this.bodies.values()].flatMap((all) => [...all.values()]))
      held.tensor.dispose()
    this.constants.clear()
    this.bodies.clear()
  }

  /** New tensors for a graph's outputs, in their order. */
  private execute(graph: Graph, constants: ReadonlyMap<string, Held>, given: ReadonlyMap<string, Held>): tf.Tensor[] {
    const values = new Map([...constants, ...given])
    const outputs = new Set(graph.output.map(({ name }) => name ?? ''))
    const last = lastUses(graph)
    const made = new Set<string>()
    for (const [at, node] of graph.node.entries()) {
      const inputs = node.input.map((name) => (name === '' ? undefined : value(values, name, node)))
      const results = this.compute(node, inputs)
      for (const [place, name] of node.output.entries()) {
        const held = results[place]
        if (name === '' || held === undefined) {
          held?.tensor.dispose()
          continue
        }
        values.set(name, held)
        made.add(name)
      }
      for (const name of [...node.input, ...node.output]) {
        if (last.get(name) !== at && (last.has(name) || outputs.has(name))) continue
        if (outputs.has(name) || !made.delete(name)) continue
        values.get(name)?.tensor.dispose()
        values.delete(name)
      }
    }
    return graph.output.map(({ name = '' }) => {
      const held = values.get(name)
      if (held === undefined) throw errors.TFJS_GRAPH_UNSUPPORTED({ issues: [`nothing gives ${name}`] })
      // An input or a constant that is handed on is not the caller's.
      return made.has(name) ? held.tensor : held.tensor.clone()
    })
  }

  private compute(node: Node, inputs: readonly (Held | undefined)[]): (Held | undefined)[] {
    const context = new NodeContext(node, inputs, (body, taken) => this.execute(body, this.constantsOf(body), taken))
    const kernel = KERNELS[node.opType ?? '']
    if (kernel === undefined) throw context.invalid('it has no kernel')
    const tensors = tf.tidy(() => {
      const result = kernel(context)
      const all = result instanceof tf.Tensor ? [result] : [...result]
      // What goes in is not to come out: each has an owner.
      return all.map((tensor) =>
        tensor !== undefined && context.all().includes(tensor) ? tensor.clone() : tensor,
      ) as tf.Tensor[]
    })
    const host = tensors.length === 1 ? hostOf(node, inputs, tensors[0] as tf.Tensor) : undefined
    return tensors.map((tensor) => tensor && { tensor, host })
  }

  private constantsOf(body: Graph): ReadonlyMap<string, Held> {
    const known = this.bodies.get(body)
    if (known !== undefined) return known
    const held = new Map<string, Held>()
    this.hold(body, held)
    this.bodies.set(body, held)
    return held
  }

  private hold(graph: Graph, into: Map<string, Held>): void {
    const constants = graph.node.filter(({ opType }) => opType === 'Constant')
    const values = [
      ...graph.initializer.map((data) => [data.name ?? '', toTensor(data)] as const),
      ...constants.map((node) => [node.output[0] ?? '', attributesOf(node)['value'] as Tensor] as const),
    ]
    for (const [name, tensor] of values) into.set(name, heldOf(tensor))
    graph.node = graph.node.filter(({ opType }) => opType !== 'Constant')
  }
}

function value(values: ReadonlyMap<string, Held>, name: string, node: Node): Held {
  const held = values.get(name)
  if (held === undefined) throw errors.TFJS_GRAPH_UNSUPPORTED({ issues: [`${node.name}: nothing gives ${name}`] })
  return held
}

/** The place of the last node that takes each value. */
function lastUses(graph: Graph): ReadonlyMap<string, number> {
  return new Map(graph.node.flatMap((node, at) => node.input.map((name): [string, number] => [name, at])))
}

/** A tensor on the backend. 64-bit integers become 32-bit ones: those of graphs are sizes and classes. */
export function heldOf({ dtype, shape, data }: Tensor): Held {
  const numbers = data.length <= MAX_HOST && dtype !== 'string' ? Array.from(data as Float32Array, Number) : undefined
  return { tensor: tensorOf({ dtype, shape, data } as Tensor), host: numbers }
}

const MOST = 2 ** 31 - 1

/** Throws `TFJS_GRAPH_UNSUPPORTED` for a type that TensorFlow.js has not. */
export function tensorOf({ dtype, shape, data }: Tensor): tf.Tensor {
  const sizes = [...shape]
  if (dtype === 'float32') return tf.tensor(data as Float32Array, sizes, 'float32')
  // TensorFlow.js has one kind of float.
  if (dtype === 'float64') return tf.tensor(Float32Array.from(data as Float64Array), sizes, 'float32')
  if (dtype === 'bool') return tf.tensor(Uint8Array.from(data as Uint8Array), sizes, 'bool')
  if (dtype === 'float16' || dtype === 'bfloat16' || dtype === 'string')
    throw errors.TFJS_GRAPH_UNSUPPORTED({ issues: [`a tensor of ${dtype}`] })
  // Slice says "to the end" with the largest number that there is.
  const clamp = (number: number | bigint) => Math.max(-MOST, Math.min(MOST, Number(number)))
  return tf.tensor(Int32Array.from(data as Int32Array, clamp), sizes, 'int32')
}

function checkOperators(graph: Graph): void {
  const missing = new Set<string>()
  const visit = ({ node }: Graph): void => {
    for (const { opType = '', domain = '', attribute } of node) {
      const isOurs = domain === '' || domain === 'ai.onnx'
      if (opType !== 'Constant' && (!isOurs || KERNELS[opType] === undefined)) missing.add(opType)
      for (const { g } of attribute) if (g !== undefined) visit(g)
    }
  }
  visit(graph)
  if (missing.size > 0)
    throw errors.TFJS_GRAPH_UNSUPPORTED({ issues: [...missing].map((operator) => `operator ${operator}`) })
}
