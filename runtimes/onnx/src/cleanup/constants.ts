import { create } from '@bufbuild/protobuf'
import type { Runtime } from '@tideway/core'
import { isStandard } from '../format/node.js'
import { fromTensor } from '../format/tensor.js'
import { writeModel } from '../format/write.js'
import { type Graph, type Model, type Node, type TensorData, ValueInfoSchema } from '../generated/onnx_pb.js'
import { capturedBy, subgraphsOf } from '../quantize/view.js'

/** Drawn anew each time, or of no use as a tensor. */
const NEVER = /^(Random|Multinomial|Bernoulli|Sequence|Split(ToSequence)?$|Optional|If$|Loop$|Scan$|Print)/

/** What a fold may add to the file: a constant that is filled or repeated is better made when the model runs. */
const MAX_GROWTH_BYTES = 64 * 1024

/** What all folds together may. */
const MAX_TOTAL_GROWTH_BYTES = 1024 * 1024

/** Bytes that a graph may still grow by, over all calls. */
export interface Growth {
  left: number
}

export const growthOf = (): Growth => ({ left: MAX_TOTAL_GROWTH_BYTES })

/**
 * Computes what depends on constants alone once, in the runtime itself, and stores the results. Nothing is folded whose
 * results are more than 64 KiB larger than the stored constants that they are made of, each counted once, nor what would
 * make all of the results more than 1 MiB larger than theirs, nor a node with a graph inside.
 */
export async function foldConstants(
  model: Model & { graph: Graph },
  runtime: Runtime,
  growth: Growth,
): Promise<number> {
  const { graph } = model
  const bytes = new Map(graph.initializer.map((tensor) => [tensor.name ?? '', sizeOf(tensor)]))
  const overridable = new Set(graph.input.map(({ name }) => name))
  const folded: Node[] = []
  /** The stored constants that each result is made of. */
  const made = new Map<string, ReadonlySet<string>>()
  for (const node of graph.node) {
    const inputs = node.input.filter(Boolean)
    const isConstant = (name: string): boolean => made.has(name) || (bytes.has(name) && !overridable.has(name))
    if (!inputs.every(isConstant) || NEVER.test(node.opType ?? '') || subgraphsOf(node).length > 0) continue
    if (!isStandard(node)) continue
    folded.push(node)
    const sources = new Set(inputs.flatMap((name) => [...(made.get(name) ?? [name])]))
    for (const name of node.output) if (name !== '') made.set(name, sources)
  }
  const inside = new Set(folded)
  const outputs = new Set(graph.output.map(({ name }) => name ?? ''))
  const outside = graph.node.filter((node) => !inside.has(node))
  const needed = new Set(outside.flatMap((node) => [...node.input, ...capturedBy(node)]))
  const wanted = [...made.keys()].filter((name) => needed.has(name) && !outputs.has(name))
  const results = await evaluate(model, folded, wanted, runtime)
  if (results === undefined) return 0
  const total = (sources: Iterable<string>): number =>
    [...sources].reduce((sum, name) => sum + (bytes.get(name) ?? 0), 0)
  let left = total(new Set(wanted.flatMap((name) => [...(made.get(name) ?? [])]))) + growth.left
  const stored = results.filter((tensor) => {
    const size = sizeOf(tensor)
    if (size > left || size > total(made.get(tensor.name ?? '') ?? []) + MAX_GROWTH_BYTES) return false
    left -= size
    return true
  })
  growth.left = Math.min(growth.left, left)
  const names = new Set(stored.map(({ name }) => name ?? ''))
  graph.initializer.push(...stored)
  // A node of which one output is too large stays whole, with names that nothing reads for what is stored.
  graph.node = graph.node.filter((node) => !(inside.has(node) && node.output.every((name) => !name || names.has(name))))
  for (const node of graph.node)
    if (inside.has(node)) node.output = node.output.map((name) => (names.has(name) ? `${name}_unused` : name))
  return stored.length
}

async function evaluate(
  model: Model & { graph: Graph },
  nodes: readonly Node[],
  names: readonly string[],
  runtime: Runtime,
): Promise<TensorData[] | undefined> {
  if (names.length === 0) return undefined
  const reads = new Set(nodes.flatMap((node) => node.input))
  const initializer = model.graph.initializer.filter(({ name = '' }) => reads.has(name))
  // Without a type: the runtime tells it from the operators.
  const output = names.map((name) => create(ValueInfoSchema, { name }))
  const graph = { ...model.graph, node: [...nodes], initializer, input: [], output, valueInfo: [] }
  const session = await runtime.load(writeModel({ ...model, graph })).catch(() => undefined)
  if (session === undefined) return undefined
  try {
    return Object.entries(await session.run({})).map(([name, tensor]) => fromTensor(name, tensor))
  } catch {
    // What cannot be computed alone (a type without an array, an operator that the runtime lacks) stays as it is.
    return undefined
  } finally {
    await session.dispose()
  }
}

function sizeOf(tensor: TensorData): number {
  return tensor.rawData?.byteLength ?? tensor.stringData.reduce((sum, text) => sum + text.byteLength, 0)
}
