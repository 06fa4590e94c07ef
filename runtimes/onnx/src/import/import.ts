import type { Tensor, TensorSpec } from '@tideway/core'
import { errors } from '../errors.js'
import { type Attributes, attributesOf, graphOf, opsetOf } from '../format/node.js'
import { readModel } from '../format/read.js'
import { signatureOf, specOf } from '../format/signature.js'
import type { ReadLimits } from '../format/skim.js'
import { toTensor } from '../format/tensor.js'
import type { Graph, Model, Node, ValueInfo } from '../generated/onnx_pb.js'
import { capturedBy, duplicates, fail, sorted } from './check.js'
import { type ImportedModel, type ImportedNode, neededFor } from './model.js'
import { refusalOf } from './refused.js'

/** Operator sets whose operators are understood: before 9 batch normalization and broadcasting were others. */
export const OPSETS = { minimum: 9, maximum: 23 } as const

export interface ImportOptions {
  readonly limits?: ReadLimits
}

/**
 * Reads an ONNX model of operator set 9 to 23 and checks its graph, so that it can be cut (`cutAt`), looked through
 * (`weightsOf`) and put into a `GraphBuilder` (`emit`).
 *
 * Throws `MODEL_INVALID`, `MODEL_EXTERNAL_DATA` and `TENSOR_TYPE_UNSUPPORTED` as `readModel` does;
 * `MODEL_GRAPH_INVALID` for cycles and for names that are missing or given twice; `MODEL_OPSET_UNSUPPORTED`;
 * `OPERATOR_UNSUPPORTED` naming every node that cannot be taken over (loops, sequences, other domains).
 *
 * @example
 * const model = importModel(await readFile('mobilenet.onnx'))
 * const g = new GraphBuilder('features')
 * const x = g.input('x', 'float32', [null, 3, 224, 224])
 * const out = emit(g, cutAt(model, '/pool/GlobalAveragePool'), { inputs: new Map([['input', x]]) })
 */
export function importModel(source: Uint8Array | Model, options: ImportOptions = {}): ImportedModel {
  const model = source instanceof Uint8Array ? readModel(source, options.limits) : source
  const opset = opsetOf(model)
  if (opset < OPSETS.minimum || opset > OPSETS.maximum) throw errors.MODEL_OPSET_UNSUPPORTED({ opset, ...OPSETS })
  const graph = graphOf(model)
  fail([
    ...duplicates(
      'input',
      graph.input.map(({ name }) => name ?? ''),
    ),
    ...duplicates(
      'initializer',
      graph.initializer.map(({ name }) => name ?? ''),
    ),
    ...graph.node.flatMap(({ opType, name }) => (opType ? [] : [`node "${name ?? ''}" has no operator`])),
  ])
  const refused = graph.node.flatMap((node, at) => refusalOf(node, nameOf(node, at)) ?? [])
  if (refused.length > 0) throw errors.OPERATOR_UNSUPPORTED({ nodes: refused })

  const tensors = new Map<string, Tensor>(graph.initializer.map((tensor) => [tensor.name ?? '', toTensor(tensor)]))
  const { inputs, outputs } = signatureOf(model)
  const outputNames = outputs.map(({ name }) => name)
  const all = graph.node.map(importNode)
  const nodes = sorted(all, [...new Set([...inputs.map(({ name }) => name), ...tensors.keys()])], outputNames)
  const resolved = withoutAliases(nodes.filter((node) => node.opType !== 'Constant'))
  const constants = constantsOf(nodes)
  for (const [name, tensor] of constants) tensors.set(name, tensor)
  const used = neededFor(resolved, outputNames)
  return {
    name: graph.name || 'imported',
    producer: [model.producerName, model.producerVersion].filter(Boolean).join(' '),
    opset,
    inputs,
    outputs: outputNames,
    nodes: used,
    tensors,
    constants: new Set(constants.keys()),
    types: declaredTypes([...graph.valueInfo, ...graph.output]),
    notes: notesOf(resolved, used),
  }
}

const nameOf = (node: Node, at: number): string => node.name || node.output.find(Boolean) || `${node.opType}_${at}`

export function importNode(node: Node, at: number): ImportedNode {
  const graphs = new Map<string, Graph>(
    node.attribute.flatMap(({ name, g }) => (g === undefined ? [] : [[name ?? '', g]])),
  )
  return {
    name: nameOf(node, at),
    opType: node.opType ?? '',
    inputs: node.input,
    outputs: node.output,
    attributes: attributesOf(node),
    graphs,
    captured: [...graphs.values()].flatMap(capturedBy),
  }
}

/** Exporters name shared weights through Identity nodes: who takes one takes the tensor itself. */
function withoutAliases(nodes: readonly ImportedNode[]): ImportedNode[] {
  const aliases = new Map<string, string>()
  return nodes.map((node) => {
    const inputs = node.inputs.map((name) => aliases.get(name) ?? name)
    if (node.opType === 'Identity') aliases.set(node.outputs[0] ?? '', inputs[0] ?? '')
    return { ...node, inputs }
  })
}

/** The tensors that Constant nodes give, by their outputs' names. */
export function constantsOf(nodes: readonly ImportedNode[]): Map<string, Tensor> {
  return new Map(
    nodes
      .filter((node) => node.opType === 'Constant')
      .map((node) => {
        const tensor = constantTensor(node.attributes)
        if (tensor === undefined)
          throw errors.OPERATOR_UNSUPPORTED({ nodes: [`"${node.name}" (Constant: sparse values are not read)`] })
        return [node.outputs[0] ?? '', tensor]
      }),
  )
}

/** Constant's forms since operator set 12 beside `value`. */
function constantTensor(attributes: Attributes): Tensor | undefined {
  const { value, value_float, value_floats, value_int, value_ints, value_string, value_strings } = attributes
  if (typeof value === 'object' && 'dtype' in value) return value
  const float = value_floats ?? value_float
  if (float !== undefined) {
    const data = Float32Array.from([float].flat() as number[])
    return { dtype: 'float32', shape: value_floats === undefined ? [] : [data.length], data }
  }
  const int = value_ints ?? value_int
  if (int !== undefined) {
    const data = BigInt64Array.from([int].flat() as bigint[])
    return { dtype: 'int64', shape: value_ints === undefined ? [] : [data.length], data }
  }
  const text = value_strings ?? value_string
  if (text === undefined) return undefined
  const data = [text].flat() as string[]
  return { dtype: 'string', shape: value_strings === undefined ? [] : [data.length], data }
}

/** Types that the file declares; what it says incompletely is left to inference. */
function declaredTypes(infos: readonly ValueInfo[]): Map<string, TensorSpec> {
  const types = new Map<string, TensorSpec>()
  for (const info of infos) {
    const type = info.type?.value
    if (type?.case !== 'tensorType' || type.value.shape === undefined) continue
    try {
      types.set(info.name ?? '', specOf(info))
    } catch {
      // A type that Tideway has no array for: whoever needs it is refused then.
    }
  }
  return types
}

function notesOf(all: readonly ImportedNode[], used: readonly ImportedNode[]): string[] {
  const kept = new Set(used)
  const dropped = all.filter((node) => !kept.has(node) && node.opType !== 'Identity')
  const normalizations = dropped.filter((node) => node.opType === 'BatchNormalization')
  const notes: string[] = []
  if (normalizations.length > 0)
    notes.push(
      `${count(normalizations.length, 'batch normalization')} of the file ${normalizations.length === 1 ? 'is' : 'are'} used by no output and left out: ${list(normalizations)}`,
    )
  const others = dropped.filter((node) => node.opType !== 'BatchNormalization')
  if (others.length > 0)
    notes.push(
      `${count(others.length, 'node')} that no output needs ${others.length === 1 ? 'is' : 'are'} left out: ${list(others)}`,
    )
  return notes
}

export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`

const list = (nodes: readonly ImportedNode[]): string =>
  nodes
    .slice(0, 5)
    .map(({ name }) => name)
    .join(', ') + (nodes.length > 5 ? ', …' : '')
