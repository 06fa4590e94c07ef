import type { Attributes } from '../format/node.js'
import type { InferRule } from './context.js'
import { int64s, type Value } from './value.js'

/**
 * ONNX Runtime's operators on images whose channels lie in blocks, [N, C / block, H, W, block] in memory under the shape
 * [N, C, H, W]: what its own optimizer puts in the place of convolutions whose weights are constant, which those of a
 * training step are not. A model with them runs on that engine only, and on processors of that block size.
 * Source: onnxruntime/core/graph/contrib_ops/nchwc_schema_defs.cc and core/mlas/lib/reorder.cpp.
 */
const DOMAIN = 'com.microsoft.nchwc'

export const BLOCKED = {
  conv: `${DOMAIN}.Conv`,
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
}

const bigints = (values: readonly number[]): bigint[] => values.map(BigInt)
const reshaped = (g: BlockedWriter, value: Value, shape: readonly number[]): Value =>
  g.op('Reshape', [value, g.constant(int64s(shape))])

/** An image [N, C, H, W] with its channels in blocks; C is a multiple of the block. */
export const toBlocks = (g: BlockedWriter, image: Value): Value => g.op(BLOCKED.reorderInput, [image])

/** The other way. */
export const fromBlocks = (g: BlockedWriter, image: Value, name?: string): Value =>
  g.op(BLOCKED.reorderOutput, [image], { channels: BigInt(Number(image.shape[1])) }, name === undefined ? {} : { name })

/** Weights [O, I, H, W] as [O / block, I / block, H, W, block of I, block of O] in memory. */
export function blockedWeights(g: BlockedWriter, weights: Value, block: number): Value {
  const [filters = 1, each = 1, ...kernel] = weights.shape.map(Number)
  const split = reshaped(g, weights, [filters / block, block, each / block, block, ...kernel])
  const turned = g.op('Transpose', [split], { perm: bigints([0, 2, 4, 5, 3, 1]) })
  return reshaped(g, turned, [filters, each, ...kernel])
}

/** Depthwise weights [C, 1, H, W] as [C / block, H, W, block] in memory. */
export function blockedDepthwise(g: BlockedWriter, weights: Value, block: number): Value {
  const [filters = 1, , ...kernel] = weights.shape.map(Number)
  const split = reshaped(g, weights, [filters / block, block, ...kernel])
  return reshaped(g, g.op('Transpose', [split], { perm: bigints([0, 2, 3, 1]) }), [filters, 1, ...kernel])
}

/** As Conv's, whose shapes are the same; ReorderOutput drops the channels that fill the last block. */
export const inferBlocked = (conv: InferRule): Readonly<Record<string, InferRule>> => ({
  [BLOCKED.conv]: conv,
  [BLOCKED.reorderInput]: (node) => node.like(),
  [BLOCKED.reorderOutput]: (node) => node.like(),
})
