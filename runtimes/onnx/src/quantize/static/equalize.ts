import type { Tensor, Tensors } from '@tideway/core'
import type { Linear } from '../../cleanup/linear.js'
import { fromTensor } from '../../format/tensor.js'
import type { Graph, TensorData } from '../../generated/onnx_pb.js'
import { type GraphView, viewOf } from '../view.js'
import type { Plan } from './plan.js'
import type { Step } from './steps.js'

/** How far a channel is scaled at most. */
const MOST = 1024

/** Two layers with nothing but activations and pooling between them, each reading the one before alone. */
export interface Pair {
  readonly first: Step
  readonly second: Step
  /** What the second one reads, channels in dimension 1 (or the last one of a matrix). */
  readonly between: string
}

/** The pairs of layers whose scale between them is free: no limit at the top, no other reader. */
export function pairsOf(plan: Plan, view: GraphView): Pair[] {
  const makers = new Map(plan.steps.flatMap((step) => step.outputs.map((name) => [name, step] as const)))
  return plan.steps.flatMap((second): Pair[] => {
    const between = second.inputs[0] ?? ''
    let name = between
    for (;;) {
      const maker = makers.get(name)
      if (maker === undefined || view.consumers(name).length !== 1 || view.escapes(name)) return []
      if (maker.linear !== undefined) {
        const isFree = maker.limits === undefined || (maker.limits.min === 0 && maker.limits.max === Infinity)
        const fits = second.linear !== undefined && isAligned(maker.linear, second.linear)
        return isFree && fits ? [{ first: maker, second, between }] : []
      }
      const keepsChannels = maker.kind === 'pool' || maker.node.opType === 'MaxPool'
      if (!keepsChannels) return []
      name = maker.inputs[0] ?? ''
    }
  })
}

/** Whether the outputs of one are the inputs of the other, channel by channel, in a form that is known here. */
function isAligned(first: Linear, second: Linear): boolean {
  const conv = [first, second].every(({ node }) => node.opType === 'Conv')
  const dense = [first, second].every(({ node }) => node.opType === 'Gemm')
  if (dense) return first.outputs === second.weight.shape[0]
  if (!conv) return false
  const [outputs = 0, perGroup = 0] = second.weight.shape
  // Groups of one channel, or one group.
  return perGroup === first.outputs || (perGroup === 1 && outputs === first.outputs)
}

/** The channel of its input that a weight of a layer is for. */
function inputChannelOf({ node, weight, outputs }: Linear): (place: number) => number {
  if (node.opType !== 'Conv') return (place) => Math.floor(place / outputs)
  const [, perGroup = 1] = weight.shape
  const kernel = weight.data.length / (outputs * perGroup)
  return perGroup === 1 ? (place) => Math.floor(place / kernel) : (place) => Math.floor(place / kernel) % perGroup
}

/** The largest magnitude of each channel of a tensor, over what is already known. */
export function channelPeaks({ data, shape }: Tensor & { readonly dtype: 'float32' }, peaks: Float64Array): void {
  const inner = shape.length > 2 ? shape.slice(2).reduce((product, size) => product * size, 1) : 1
  for (let begin = 0, row = 0; begin < data.length; begin += inner, row++) {
    const channel = row % peaks.length
    let peak = peaks[channel] ?? 0
    for (let at = begin; at < begin + inner; at++) peak = Math.max(peak, Math.abs(data[at] ?? 0))
    peaks[channel] = peak
  }
}

/**
 * Cross-layer equalization (Nagel et al. 2019, arXiv:1906.04721, section 4.1): a channel between two layers is divided by
 * a factor in the first and multiplied by it in the second, which Relu lets through. The paper evens out ranges of the
 * first one's weights; here those have a scale per channel, so the channel's values are evened out against the second
 * one's weights. Returns the graph with other weights; the function that it computes stays.
 */
export function equalized(graph: Graph, pairs: readonly Pair[], peaks: ReadonlyMap<string, Float64Array>): Graph {
  const stored = new Map(graph.initializer.map((tensor) => [tensor.name ?? '', tensor]))
  const view = viewOf(graph)
  const uses = new Map<string, number>()
  for (const node of graph.node) for (const name of node.input) uses.set(name, (uses.get(name) ?? 0) + 1)
  const current = new Map<string, Float32Array>()
  const valuesOf = (name: string, values: Float32Array): Float32Array => {
    const known = current.get(name) ?? values.slice()
    current.set(name, known)
    return known
  }
  for (const { first, second, between } of pairs) {
    const [one, two] = [first.linear, second.linear]
    if (one === undefined || two === undefined || one.add !== undefined) continue
    const names = [one.node.input[1], one.node.input[2], two.node.input[1]].flatMap((name) => (name ? [name] : []))
    // Weights that another node or a branch reads too, that are an output, or that a node makes, stay as they are.
    if (names.some((name) => uses.get(name) !== 1 || !stored.has(name) || view.escapes(name))) continue
    const [w1, w2] = [valuesOf(names[0] ?? '', one.weight.data), valuesOf(names.at(-1) ?? '', two.weight.data)]
    const factors = factorsOf(two, w2, peaks.get(between) ?? new Float64Array(one.outputs))
    for (const [place, w] of w1.entries()) w1[place] = w / (factors[one.channelOf(place)] ?? 1)
    if (one.bias !== undefined) {
      const bias = valuesOf(one.node.input[2] ?? '', one.bias)
      for (const [c, b] of bias.entries()) bias[c] = b / (factors[c] ?? 1)
    }
    const inputOf = inputChannelOf(two)
    for (const [place, w] of w2.entries()) w2[place] = w * (factors[inputOf(place)] ?? 1)
  }
  const changed = (tensor: TensorData): TensorData => {
    const data = current.get(tensor.name ?? '')
    return data === undefined
      ? tensor
      : fromTensor(tensor.name ?? '', { dtype: 'float32', shape: tensor.dims.map(Number), data })
  }
  return { ...graph, initializer: graph.initializer.map(changed) }
}

/** √(values / weights) for each channel, weights against the largest of their output; 1 on average over channels. */
function factorsOf(second: Linear, weights: Float32Array, peaks: Float64Array): Float64Array {
  const rows = new Float64Array(second.outputs)
  for (const [place, w] of weights.entries()) {
    const row = second.channelOf(place)
    rows[row] = Math.max(rows[row] ?? 0, Math.abs(w))
  }
  const inputOf = inputChannelOf(second)
  const columns = new Float64Array(peaks.length)
  for (const [place, w] of weights.entries()) {
    const column = inputOf(place)
    const row = rows[second.channelOf(place)] ?? 0
    if (row > 0) columns[column] = Math.max(columns[column] ?? 0, Math.abs(w) / row)
  }
  const raw = peaks.map((peak, c) => (peak > 0 && (columns[c] ?? 0) > 0 ? Math.sqrt(peak / (columns[c] ?? 1)) : 0))
  const known = raw.filter((factor) => factor > 0)
  const mean = Math.exp(known.reduce((sum, factor) => sum + Math.log(factor), 0) / Math.max(1, known.length))
  return raw.map((factor) => (factor === 0 ? 1 : Math.fround(Math.min(MOST, Math.max(1 / MOST, factor / mean)))))
}

/** The peaks of the channels between pairs, over runs of a session. */
export async function peaksOf(
  pairs: readonly Pair[],
  runs: AsyncIterable<Tensors>,
): Promise<Map<string, Float64Array>> {
  const peaks = new Map(pairs.map(({ between, first }) => [between, new Float64Array(first.linear?.outputs ?? 0)]))
  for await (const tensors of runs) {
    for (const [name, known] of peaks) {
      const tensor = tensors[name]
      if (tensor?.dtype === 'float32') channelPeaks(tensor, known)
    }
  }
  return peaks
}
