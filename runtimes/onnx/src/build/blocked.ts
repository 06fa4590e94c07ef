import type { Attributes } from '../format/node.js'
import type { InferRule, NodeContext } from './context.js'
import { type Dim, int64s, type Value } from './value.js'

/**
 * ONNX Runtime's operators on images whose channels lie in blocks, [N, C / block, H, W, block] in memory under the shape
 * [N, C, H, W]: what its own optimizer puts in the place of convolutions whose weights are constant, which those of a
 * training step are not. A model with them runs on that engine only, and on processors of that block size.
 * Source: onnxruntime/core/graph/contrib_ops/nchwc_schema_defs.cc and core/mlas/lib/reorder.cpp.
 */
const DOMAIN = 'com.microsoft.nchwc'

export const BLOCKED = {
  conv: `${DOMAIN}.Conv`,
  maxPool: `${DOMAIN}.MaxPool`,
  reorderInput: `${DOMAIN}.ReorderInput`,
  reorderOutput: `${DOMAIN}.ReorderOutput`,
} as const

/** Whether a graph may have so many channels of an image in blocks: the operators are for float32. */
export const isBlocked = (
  { block }: { readonly block?: number | undefined },
  { dtype }: Pick<Value, 'dtype'>,
  channels: number,
): boolean => block !== undefined && dtype === 'float32' && channels % block === 0

/** What nodes are added by. */
export interface BlockedWriter {
  op(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes?: Attributes,
    options?: { name?: string },
  ): Value
  constant(tensor: ReturnType<typeof int64s>): Value
  /** Images that lie in blocks already, by the name of the same image in standard order. */
  readonly inBlocks: Map<string, Value>
}

const bigints = (values: readonly number[]): bigint[] => values.map(BigInt)
const reshaped = (g: BlockedWriter, value: Value, shape: readonly number[]): Value =>
  g.op('Reshape', [value, g.constant(int64s(shape))])

/** An image [N, C, H, W] with its channels in blocks; C is a multiple of the block. */
export function toBlocks(g: BlockedWriter, image: Value): Value {
  const blocked = g.inBlocks.get(image.name) ?? g.op(BLOCKED.reorderInput, [image])
  g.inBlocks.set(image.name, blocked)
  return blocked
}

/** The other way. Who takes the image in blocks again gets it as it was, and this node falls away where nobody else does. */
export function fromBlocks(g: BlockedWriter, blocked: Value, name?: string): Value {
  const channels = BigInt(Number(blocked.shape[1]))
  const image = g.op(BLOCKED.reorderOutput, [blocked], { channels }, name === undefined ? {} : { name })
  g.inBlocks.set(image.name, blocked)
  return image
}

/** From an image [N, H, W, C]. */
export const fromChannelsLast = (g: BlockedWriter, image: Value): Value =>
  g.op(BLOCKED.reorderInput, [image], { channels_last: 1n })

/** To an image [N, H, W, C]. */
export const toChannelsLast = (g: BlockedWriter, blocked: Value, name: string): Value =>
  g.op(BLOCKED.reorderOutput, [blocked], { channels: BigInt(Number(blocked.shape[1])), channels_last: 1n }, { name })

/** Weights [O, I, H, W] as [O / block, I / block, H, W, block of I, block of O] in memory. */
export function blockedWeights(g: BlockedWriter, weights: Value, block: number): Value {
  const [filters = 1, each = 1, ...kernel] = weights.shape.map(Number)
  const split = reshaped(g, weights, [filters / block, block, each / block, block, ...kernel])
  const turned = g.op('Transpose', [split], { perm: bigints([0, 2, 4, 5, 3, 1]) })
  return reshaped(g, turned, [filters, each, ...kernel])
}

/** Weights [O, I, H, W] as [O / block, I, H, W, block of O] in memory: for an image of few channels, which stays as it is. */
export function blockedFilters(g: BlockedWriter, weights: Value, block: number): Value {
  const [filters = 1, each = 1, ...kernel] = weights.shape.map(Number)
  const split = reshaped(g, weights, [filters / block, block, each, ...kernel])
  return reshaped(g, g.op('Transpose', [split], { perm: bigints([0, 2, 3, 4, 1]) }), [filters, each, ...kernel])
}

/** Depthwise weights [C, 1, H, W] as [C / block, H, W, block] in memory. */
export function blockedDepthwise(g: BlockedWriter, weights: Value, block: number): Value {
  const [filters = 1, , ...kernel] = weights.shape.map(Number)
  const split = reshaped(g, weights, [filters / block, block, ...kernel])
  return reshaped(g, g.op('Transpose', [split], { perm: bigints([0, 2, 3, 1]) }), [filters, 1, ...kernel])
}

/** The shape of a node's input, its axes turned where channels are last on the other side. */
const turned = (node: NodeContext, perm: readonly number[]): readonly Dim[] => {
  const { shape } = node.in(0)
  return node.int('channels_last', 0) === 1 ? perm.map((axis) => shape[axis] ?? 1) : shape
}

/** As Conv's and MaxPool's, whose shapes are the same; ReorderOutput drops the channels that fill the last block. */
export const inferBlocked = (conv: InferRule, pool: InferRule): Readonly<Record<string, InferRule>> => ({
  [BLOCKED.conv]: conv,
  [BLOCKED.maxPool]: pool,
  [BLOCKED.reorderInput]: (node) => node.like(turned(node, [0, 3, 1, 2])),
  [BLOCKED.reorderOutput]: (node) => node.like(turned(node, [0, 2, 3, 1])),
})
