import { codeOf } from '@tideway/core'
import { type BuiltNode, GraphBuilder } from '../build/graph-builder.js'
import type { Value } from '../build/value.js'
import { errors } from '../errors.js'
import { emit } from '../import/emit.js'
import { importModel } from '../import/import.js'
import { convolutions } from './convolution.js'
import { elementwise } from './elementwise.js'
import { Emission, type Rules } from './emission.js'
import { gathers } from './gather.js'
import { type Endpoint, GraphDef } from './graph-def.js'
import { layouts } from './layout.js'
import { normalizations } from './normalize.js'
import { pooling } from './pooling.js'
import { products } from './product.js'
import { recurrence } from './recurrent.js'
import { reductions } from './reduce.js'
import { resizing } from './resize.js'
import { cuts } from './slice.js'
import { type TfType, tfType } from './tensor.js'
import { Refused, Values } from './values.js'

/** How ONNX's operators are written with TensorFlow's. To add one: its rule in the group that it belongs to. */
const RULES: Rules = {
  ...convolutions,
  ...cuts,
  ...elementwise,
  ...gathers,
  ...layouts,
  ...normalizations,
  ...pooling,
  ...products,
  ...recurrence,
  ...reductions,
  ...resizing,
}

/**
 * A float ONNX model as a Graph model of TensorFlow.js: one model.json with its weights inside (a GraphDef in JSON, as
 * tfjs-converter 4 reads it), which `@tideway/runtime-tfjs` loads. Inputs and outputs have the ONNX model's names, types
 * and shapes, the free sizes included. Images go through it channels last. The same model gives the same bytes.
 *
 * Throws `TFJS_EXPORT_UNSUPPORTED` naming every node without a form (quantized ones, loops, types and sizes that
 * TensorFlow.js does not have); what `importModel` and `emit` throw for a file that is not valid; `TOO_LARGE`.
 *
 * @example
 * const modelJson = tfjsGraphModel(await readFile('digits.onnx'))
 * const session = await createTfjsRuntime().load(modelJson)
 */
export function tfjsGraphModel(onnx: Uint8Array): Uint8Array<ArrayBuffer> {
  const { builder, inputs, outputs } = built(onnx)
  const graph = new GraphDef()
  const nodes = neededNodes(builder, [...outputs.values()])
  const values = new Values(builder, graph, usesOf(nodes, [...outputs.values()]))
  const problems: string[] = []
  const typed = (kind: string, name: string, value: Value): TfType => {
    const dtype = value.dtype === 'int64' ? undefined : tfType(value.dtype)
    if (dtype === undefined)
      problems.push(`${kind} "${name}" (${value.dtype}: TensorFlow.js has float32, int32 and bool)`)
    return dtype ?? 'float32'
  }
  const taken = inputs.map((value): Endpoint => {
    const shape = freeSizes(value)
    const dtype = typed('input', value.name, value)
    const ref = graph.placeholder(value.name, dtype, shape)
    values.set(value, { first: ref })
    return { name: value.name, ref, dtype, shape }
  })
  const skipped = new Set<string>()
  for (const node of nodes) write(node, builder, values, problems, skipped)
  const given = [...outputs].flatMap(([name, value]): Endpoint[] => {
    const dtype = typed('output', name, value)
    if (problems.length > 0) return []
    try {
      return [{ name, ref: values.first(value), dtype, shape: freeSizes(value) }]
    } catch (error) {
      problems.push(`output "${name}" (${reasonOf(error)})`)
      return []
    }
  })
  if (problems.length > 0) throw errors.TFJS_EXPORT_UNSUPPORTED({ nodes: problems })
  return graph.write(taken, given)
}

const freeSizes = ({ shape }: Value) => shape.map((size) => (typeof size === 'number' ? size : null))

/** The model in operators of set 17, with every shape that can be told. */
function built(onnx: Uint8Array) {
  try {
    const model = importModel(onnx)
    const builder = new GraphBuilder(model.name)
    const inputs = model.inputs.map(({ name, dtype, shape }) => builder.input(name, dtype, shape))
    const outputs = emit(builder, model, { inputs: new Map(inputs.map((value) => [value.name, value])) })
    return { builder, inputs, outputs }
  } catch (cause) {
    if (codeOf(cause) !== 'OPERATOR_UNSUPPORTED') throw cause
    throw errors.TFJS_EXPORT_UNSUPPORTED((cause as { data: { nodes: readonly string[] } }).data, cause)
  }
}

/** Nodes that outputs need; one without a rule is written as the nodes that stand for it, where there are some. */
function neededNodes(builder: GraphBuilder, outputs: readonly Value[]): BuiltNode[] {
  const whole = builder.nodes.flatMap((node) => (Object.hasOwn(RULES, node.opType) ? [node] : (node.parts ?? [node])))
  const wanted = new Set(outputs.map(({ name }) => name))
  return whole
    .toReversed()
    .filter((node) => {
      if (!node.outputs.some(({ name }) => wanted.has(name))) return false
      for (const value of node.inputs) if (value !== undefined) wanted.add(value.name)
      return true
    })
    .toReversed()
}

function usesOf(nodes: readonly BuiltNode[], outputs: readonly Value[]): Map<string, number> {
  const uses = new Map<string, number>()
  for (const value of [...nodes.flatMap(({ inputs }) => inputs), ...outputs])
    if (value !== undefined) uses.set(value.name, (uses.get(value.name) ?? 0) + 1)
  return uses
}

/** Writes one node; what cannot be written is a problem, and so is not what takes its outputs. */
function write(node: BuiltNode, builder: GraphBuilder, values: Values, problems: string[], skipped: Set<string>): void {
  const rule = Object.hasOwn(RULES, node.opType) ? RULES[node.opType] : undefined
  const leave = (reason?: string) => {
    if (reason !== undefined) problems.push(`"${node.name}" (${node.opType}: ${reason})`)
    for (const { name } of node.outputs) skipped.add(name)
  }
  if (rule === undefined) return leave('TensorFlow.js has no form of it here')
  const wide = node.outputs.find(({ dtype }) => tfType(dtype) === undefined)
  if (wide !== undefined) return leave(`it gives ${wide.dtype}, which TensorFlow.js does not have`)
  if (node.inputs.some((value) => value !== undefined && skipped.has(value.name))) return leave()
  const info = builder.context(node.opType, node.inputs, node.attributes, node.outputs.length)
  try {
    const made = rule(new Emission(node, info, values))
    for (const [place, form] of (Array.isArray(made) ? made : [made]).entries()) {
      const value = node.outputs[place]
      if (value !== undefined) values.set(value, typeof form === 'string' ? { first: form } : form)
    }
  } catch (error) {
    leave(reasonOf(error))
  }
}

/** Other errors are thrown on. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Refused)) throw error
  return error.message
}
