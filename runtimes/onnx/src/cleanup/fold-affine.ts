import type { Node } from '../generated/onnx_pb.js'
import type { GraphView } from '../quantize/view.js'
import { type Affine, affineOf, rankOfConstant } from './affine.js'
import type { Pass } from './edit.js'
import { type Linear, linearOf, replaceLinear } from './linear.js'
import { ranksOf } from './rank.js'

type Ranks = ReturnType<typeof ranksOf>

/**
 * Folds batch normalization and arithmetic with constants into the convolution or dense layer before it: its weights
 * take the factor of their output channel, its bias the rest. Computed in double precision.
 */
export const foldIntoProducer: Pass = (view, edit) => {
  const rankOf = ranksOf(view)
  for (const node of view.graph.node) {
    const affine = affineOf(node, view)
    if (affine === undefined) continue
    const { input } = affine
    if (view.consumers(input).length !== 1 || view.escapes(input)) continue
    const linear = linearOf(input, view)
    // The Add of a bias is what the next round would find again: leave it where it is.
    if (linear === undefined || isBiasOf(linear, node)) continue
    if (!isAlong(affine, linear, node, view, rankOf)) continue
    const at = (values: Float64Array, channel: number): number => values[affine.axis === undefined ? 0 : channel] ?? 0
    const weight = linear.weight.data.map((w, place) => w * at(affine.scale, linear.channelOf(place)))
    const bias = Float32Array.from(
      { length: linear.outputs },
      (_, c) => (linear.bias?.[c] ?? 0) * at(affine.scale, c) + at(affine.shift, c),
    )
    if (!areFinite(weight, bias)) continue
    if (!edit.claim(node, linear.node, ...(linear.add === undefined ? [] : [linear.add]))) continue
    const needed = linear.bias !== undefined || bias.some((value) => value !== 0)
    replaceLinear(edit, linear, { weight, bias: needed ? bias : undefined, output: node.output[0] ?? '' }, node)
  }
}

/** A product and the Add right behind it already are what folding would make of them. */
const isBiasOf = (linear: Linear, node: Node): boolean =>
  linear.node.opType === 'MatMul' && linear.add === undefined && node.opType === 'Add'

/** Whether the function acts along the layer's output channels, and leaves its shape as it is. */
function isAlong(affine: Affine, linear: Linear, node: Node, view: GraphView, rankOf: Ranks): boolean {
  const rank =
    linear.node.opType === 'MatMul'
      ? rankOf(linear.output)
      : linear.node.opType === 'Gemm'
        ? 2
        : linear.weight.shape.length
  if (node.opType !== 'BatchNormalization') {
    const lifted = rankOfConstant(node, view)
    if (lifted > 1 && (rank === undefined || lifted > rank)) return false
  }
  if (affine.axis === undefined) return true
  if (affine.scale.length !== linear.outputs) return false
  if (rank === undefined) return affine.axis === linear.axis
  const fromFront = (axis: number): number => (axis < 0 ? axis + rank : axis)
  return fromFront(affine.axis) === fromFront(linear.axis)
}

/**
 * Folds a factor, the same for every value, into the layers after it, and a constant that is added, where no layer
 * pads with zeros. One per channel stays: it brings columns of different units to one scale, which the next layer's
 * input needs to be quantized well.
 */
export const foldIntoConsumers: Pass = (view, edit) => {
  for (const node of view.graph.node) {
    const affine = affineOf(node, view)
    const value = node.output[0] ?? ''
    if (affine === undefined || affine.axis !== undefined || affine.scale.length !== 1 || view.escapes(value)) continue
    if (node.opType === 'BatchNormalization' || rankOfConstant(node, view) > 1) continue
    const [scale = 1] = affine.scale
    const [shift = 0] = affine.shift
    const consumers = view.consumers(value)
    const linears = consumers.flatMap((consumer) => linearFrom(consumer, value, view) ?? [])
    if (consumers.length === 0 || linears.length !== consumers.length) continue
    if (scale === 0 || (shift !== 0 && linears.some((linear) => linear.isPadded))) continue
    const moved = linears.map((linear) => movedInto(linear, affine.input, scale, shift))
    if (!moved.every(({ weight, bias }) => areFinite(weight, bias))) continue
    const nodes = linears.flatMap(({ node: own, add }) => (add === undefined ? [own] : [own, add]))
    if (!edit.claim(node, ...nodes)) continue
    edit.replace(node)
    for (const { old, linear, weight, bias } of moved) {
      const needed = linear.bias !== undefined || shift !== 0
      edit.replace(old)
      const last = linear.add ?? old
      replaceLinear(edit, linear, { weight, bias: needed ? bias : undefined, output: linear.output }, last)
    }
  }
}

/** A factor or a sum that leaves float32 stays where it was. */
const areFinite = (...lists: readonly Float32Array[]): boolean => lists.every((values) => values.every(Number.isFinite))

function movedInto(linear: Linear, input: string, scale: number, shift: number) {
  const sums = new Float64Array(linear.outputs)
  const { data } = linear.weight
  for (let place = 0; place < data.length; place++) {
    const channel = linear.channelOf(place)
    sums[channel] = (sums[channel] ?? 0) + (data[place] ?? 0)
  }
  return {
    old: linear.node,
    linear: { ...linear, node: { ...linear.node, input: [input, ...linear.node.input.slice(1)] } },
    weight: data.map((w) => w * scale),
    bias: Float32Array.from(sums, (sum, c) => (linear.bias?.[c] ?? 0) + shift * sum),
  }
}

/** The layer that takes a value as its input, with its bias. */
function linearFrom(consumer: Node, value: string, view: GraphView): Linear | undefined {
  if (consumer.input[0] !== value || consumer.input.filter((name) => name === value).length !== 1) return undefined
  const output = consumer.output[0] ?? ''
  const [next, ...others] = view.consumers(output)
  const withBias =
    consumer.opType === 'MatMul' && next?.opType === 'Add' && others.length === 0
      ? linearOf(next.output[0] ?? '', view)
      : undefined
  return withBias ?? linearOf(output, view)
}
