import { create } from '@bufbuild/protobuf'
import { ranksOf } from '../../cleanup/rank.js'
import { writeModel } from '../../format/write.js'
import { type Node, OperatorSetIdSchema } from '../../generated/onnx_pb.js'
import type { AffineScale } from '../reference.js'
import { capturedBy, viewOf } from '../view.js'
import { type Emit, emitOperators, emitQdq } from './emit.js'
import { Names } from './names.js'
import { movesIntegers, type Plan } from './plan.js'
import type { Whole } from './rows.js'
import type { Step } from './steps.js'
import { emitStored, type StoredWeights } from './stored.js'
import type { IntegerWeights } from './weights.js'
import { MICROSOFT, Writer } from './writer.js'

/** How integers are computed: float operators between conversions, or operators on integers. */
export type Form = 'qdq' | 'operators'

const FORMS: Readonly<Record<Form, Emit>> = { qdq: emitQdq, operators: emitOperators }

export interface Quantities {
  readonly plan: Plan
  /** By group of tensors with one scale. */
  readonly scales: ReadonlyMap<string, AffineScale>
  readonly weights: ReadonlyMap<Step, IntegerWeights>
  readonly ranks: ReadonlyMap<string, number>
  /** Weights of float nodes that are integers in the file alone. */
  readonly stored: readonly StoredWeights[]
}

/**
 * The file of a plan. Short names, each constant stored once, no annotations, no attributes that say what is so anyway:
 * in a small model they weigh as much as the weights do.
 */
export function writeQuantized(model: Whole, quantities: Quantities, form: Form): Uint8Array {
  const { graph } = model
  const { plan, scales, weights, ranks, stored } = quantities
  const scaleOf = (name: string): AffineScale => scales.get(plan.groupOf.get(name) ?? '') ?? { scale: 1, zeroPoint: 0 }
  const names = new Names(graph)
  const writer = new Writer(names, scaleOf)
  const rankOf = ranksOf(viewOf(graph))
  const last = new Map(plan.steps.map((step) => [step.nodes.at(-1), step]))
  const inside = new Set<Node>(plan.steps.flatMap((step) => step.nodes))
  for (const { name = '' } of [...graph.input, ...graph.initializer]) writer.gaveFloat(name)
  const kept = new Map(stored.map((item) => [item.node, item]))
  for (const node of graph.node) {
    const step = last.get(node)
    if (step !== undefined) {
      const [input = ''] = step.inputs
      const [output = ''] = step.outputs
      FORMS[form]({
        writer,
        step,
        weights: weights.get(step),
        isMove: movesIntegers(step, plan),
        rank: step.node.opType === 'Gemm' ? 2 : (ranks.get(input) ?? rankOf(input) ?? 0),
        isQuantized: plan.tensors.has(output),
      })
    } else if (!inside.has(node)) copy(node, writer, kept.get(node))
  }
  for (const { name = '' } of graph.output) writer.floatOf(name)
  return finish(model, writer)
}

function copy(node: Node, writer: Writer, stored: StoredWeights | undefined): void {
  for (const name of capturedBy(node)) writer.floatOf(name)
  const input = node.input.map((name) => (name === '' ? '' : writer.floatOf(name)))
  if (stored !== undefined) input[stored.place] = emitStored(writer, stored)
  const output = node.output.map((name) => (name === '' ? '' : writer.gaveFloat(name)))
  writer.nodes.push({ ...node, input, output, name: undefined, docString: undefined } as unknown as Node)
}

function finish(model: Whole, writer: Writer): Uint8Array {
  const { graph } = model
  const used = new Set(writer.nodes.flatMap((node) => [...node.input, ...capturedBy(node)]))
  for (const { name = '' } of graph.output) used.add(name)
  const kept = graph.initializer
    .map((tensor) => ({ ...tensor, name: writer.names.of(tensor.name ?? ''), docString: undefined }))
    .filter(({ name }) => used.has(name)) as typeof graph.initializer
  const hasMicrosoft = writer.nodes.some((node) => node.domain === MICROSOFT)
  const isThere = model.opsetImport.some(({ domain }) => domain === MICROSOFT)
  const opsetImport =
    hasMicrosoft && !isThere
      ? [...model.opsetImport, create(OperatorSetIdSchema, { domain: MICROSOFT, version: 1n })]
      : model.opsetImport
  const initializer = [...kept, ...writer.stored]
  return writeModel({
    ...model,
    opsetImport,
    docString: undefined,
    graph: { ...graph, node: writer.nodes, initializer, valueInfo: [], docString: undefined },
  } as unknown as Whole)
}
