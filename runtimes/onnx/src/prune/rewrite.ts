import type { Tensor } from '@tideway/core'
import { attributesOf, graphOf, makeNode } from '../format/node.js'
import { readModel } from '../format/read.js'
import { fromTensor } from '../format/tensor.js'
import type { Model } from '../generated/onnx_pb.js'
import type { ImportedModel } from '../import/model.js'
import type { Walked } from './walk.js'

/** A cut of one stored tensor for one node that takes it: the places that stay, by axis. */
type Cuts = Map<number, readonly number[]>

/** The model without some channels, and how many numbers its float tensors have. */
export function rewrite(
  bytes: Uint8Array,
  imported: ImportedModel,
  { channels, resized, grouped }: Walked,
  removed: ReadonlySet<number>,
): { model: Model; stored: number } {
  const model = readModel(bytes)
  const graph = graphOf(model)
  const stays = (ids: readonly number[]): number[] =>
    ids.flatMap((id, place) => (removed.has(channels.rootOf(id)) ? [] : [place]))
  const cuts = new Map<string, Map<number, Cuts>>()
  for (const { node, place, axis, ids } of [...channels.slots, ...channels.makers]) {
    const places = stays(ids)
    if (places.length === ids.length) continue
    const ofNode = cuts.get(node) ?? new Map<number, Cuts>()
    const ofTensor: Cuts = ofNode.get(place) ?? new Map()
    ofTensor.set(axis, places)
    cuts.set(node, ofNode.set(place, ofTensor))
  }
  const byOutput = new Map(imported.nodes.map((node) => [node.outputs[0] ?? '', node]))
  const taken = new Set([
    ...graph.initializer.map(({ name }) => name ?? ''),
    ...graph.node.flatMap(({ output }) => output),
  ])
  const names = new Map<string, string>()
  /** Stores a changed tensor; nodes that cut the same one in the same way share it. */
  const store = (wanted: string, key: string, tensor: Tensor): string => {
    const known = names.get(key)
    if (known !== undefined) return known
    let name = wanted
    // Only the tensor's own name may be taken over: another's is another's, however often it is used.
    if (taken.has(wanted) && !free(wanted)) for (let i = 2; taken.has(name); i++) name = `${wanted}_${i}`
    taken.add(name)
    names.set(key, name)
    const at = graph.initializer.findIndex((item) => item.name === name)
    if (at >= 0) graph.initializer[at] = fromTensor(name, tensor)
    else graph.initializer.push(fromTensor(name, tensor))
    return name
  }
  const uses = new Map<string, number>()
  const captured = imported.nodes.flatMap((node) => node.captured)
  const outputs = graph.output.map(({ name }) => name ?? '')
  // As the importer has them, without other names for the same value; what leaves the graph or goes into a branch is not free.
  const takers = [...imported.nodes.flatMap(({ inputs }) => inputs), ...captured, ...captured, ...outputs, ...outputs]
  for (const name of takers) uses.set(name, (uses.get(name) ?? 0) + 1)
  const replaced = new Set<string>()
  /** A stored tensor that one node takes may be changed where it is. */
  const free = (name: string): boolean => {
    const isOwn = uses.get(name) === 1 && graph.initializer.some((item) => item.name === name) && !replaced.has(name)
    if (isOwn) replaced.add(name)
    return isOwn
  }
  for (const [at, node] of graph.node.entries()) {
    const [output = ''] = node.output
    const source = byOutput.get(output)
    for (const [place, ofTensor] of cuts.get(output) ?? []) {
      const name = source?.inputs[place] ?? ''
      const tensor = imported.tensors.get(name)
      if (tensor === undefined) continue
      const smaller = [...ofTensor].reduce((cut, [axis, places]) => keep(cut, axis, places), tensor)
      node.input[place] = store(name, JSON.stringify([name, ...ofTensor]), smaller)
    }
    const target = resized.find((item) => item.node === output)
    const shape = target && imported.tensors.get(source?.inputs[1] ?? '')
    if (target !== undefined && shape !== undefined && stays(target.ids).length < target.ids.length) {
      const data = BigInt64Array.of(BigInt(shape.data[0] as bigint), BigInt(stays(target.ids).length))
      const name = source?.inputs[1] ?? ''
      node.input[1] = store(name, JSON.stringify([name, String(data)]), { dtype: 'int64', shape: [2], data })
    }
    const group = grouped.find((item) => item.node === output)
    if (group !== undefined) {
      const attributes = { ...attributesOf(node), group: BigInt(stays(group.ids).length) }
      graph.node[at] = makeNode(node.opType ?? '', node.input, node.output, attributes, node.name)
    }
  }
  const used = new Set([...graph.node.flatMap(({ input }) => input), ...captured, ...outputs])
  graph.initializer = graph.initializer.filter(({ name = '' }) => used.has(name))
  // Older files list stored tensors among their inputs, too: of another shape now, or gone.
  graph.input = graph.input.filter(({ name }) => !imported.tensors.has(name ?? ''))
  graph.valueInfo = []
  const stored = graph.initializer.reduce(
    (sum, { dataType, dims }) => sum + (dataType === 1 ? dims.reduce((count, size) => count * Number(size), 1) : 0),
    0,
  )
  return { model, stored }
}

/** A tensor with some places of one axis. */
function keep(tensor: Tensor, axis: number, places: readonly number[]): Tensor {
  const { shape } = tensor
  const data = tensor.data as Numbers
  const size = shape[axis] ?? 1
  const inner = shape.slice(axis + 1).reduce((product, item) => product * item, 1)
  const outer = data.length / (size * inner || 1)
  const smaller = new (data.constructor as NumbersConstructor)(outer * places.length * inner)
  for (let row = 0; row < outer; row++)
    for (const [to, from] of places.entries()) {
      const begin = (row * size + from) * inner
      smaller.set(data.subarray(begin, begin + inner), (row * places.length + to) * inner)
    }
  return {
    dtype: tensor.dtype,
    shape: shape.map((item, at) => (at === axis ? places.length : item)),
    data: smaller,
  } as Tensor
}

/** Typed arrays of any kind are cut alike; the kind of two of them cannot be said in types. */
type Numbers = Float32Array
type NumbersConstructor = Float32ArrayConstructor
