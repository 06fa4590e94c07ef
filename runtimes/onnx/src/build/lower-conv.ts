import { BLOCKED, blockedDepthwise, blockedFilters, blockedWeights, fromBlocks, toBlocks } from './blocked.js'
import type { NodeContext } from './context.js'
import type { GraphBuilder } from './graph-builder.js'
import { kernelOf } from './infer-spatial.js'
import type { Lowering } from './lower.js'
import { int64s, type Value } from './value.js'
import { windowOf } from './window.js'

/** Planes up to this wide are cheaper to slide over with the batch as the last axis (measured: docs/gradients.md). */
const NARROW = 12
/** Fewer images than this fill no vector. */
const FEW = 8

export const isNarrow = (counts: readonly number[]): boolean => (counts.at(-1) ?? 1) <= NARROW

/** A Conv on blocks of channels where the engine has them, else a depthwise one over whole batches, else as it is. */
export const lowerConv: Lowering = (g, node, name) => onBlocks(g, node, name) ?? overBatches(g, node, name)

/**
 * A Conv as ONNX Runtime's on blocks of channels, where it is the faster one with the reordering that it needs before
 * and behind (measured: docs/gradients.md). A 1x1 kernel is a matrix product, which is as fast without.
 */
const onBlocks: Lowering = (g, node, name) => {
  const form = blockedForm(g, node)
  if (form === undefined) return undefined
  const [x, weights, bias] = [node.in(0), node.in(1), node.inputs[2]]
  const window = windowOf(node, kernelOf(node), x.shape.slice(2))
  // One spatial axis is a line of an image.
  const line = x.shape.length === 3
  const at = g.constant(int64s([2]))
  const flat = (value: Value): Value => (line ? g.op('Unsqueeze', [value, at]) : value)
  const along = (values: readonly number[], fill: number): bigint[] => (line ? [fill, ...values] : values).map(BigInt)
  const order = ORDERS[form]
  const image = form === 'few' ? flat(x) : toBlocks(g, flat(x))
  const inputs = [image, order(g, flat(weights), g.block as number)]
  const y = g.op(BLOCKED.conv, bias === undefined ? inputs : [...inputs, bias], {
    auto_pad: 'NOTSET',
    kernel_shape: along(window.kernel, 1),
    strides: along(window.strides, 1),
    dilations: along(window.dilations, 1),
    pads: [...along(window.begin, 0), ...along(window.end, 0)],
    group: BigInt(node.int('group', 1)),
  })
  if (!line) return [fromBlocks(g, y, name)]
  return [g.op('Squeeze', [fromBlocks(g, y), at], {}, { name })]
}

const ORDERS = { dense: blockedWeights, depthwise: blockedDepthwise, few: blockedFilters } as const

/** `few`: an image of fewer channels than fill a block is taken as it is. */
function blockedForm(g: GraphBuilder, node: NodeContext): keyof typeof ORDERS | undefined {
  const { block } = g
  const [x, weights] = [node.in(0), node.in(1)]
  const known = [...x.shape.slice(1), ...weights.shape].every((size) => typeof size === 'number' && size > 0)
  if (block === undefined || !known || x.dtype !== 'float32' || x.shape.length > 4 || x.shape[0] === 0) return undefined
  const [filters = 0, each = 0, ...kernel] = weights.shape.map(Number)
  if (kernel.every((size) => size === 1)) return undefined
  const group = node.int('group', 1)
  if (group > 1 && each === 1 && filters === group) return filters % block === 0 ? 'depthwise' : undefined
  if (group === 1 && each < block) return filters % block === 0 ? 'few' : undefined
  return each % block === 0 && (filters / group) % block === 0 ? 'dense' : undefined
}

/**
 * A depthwise Conv on narrow planes, the batch being known, as in training: the batch becomes one more spatial axis, so
 * that the kernel slides over whole batches. A model that is shipped has a free batch and keeps the plain Conv.
 */
const overBatches: Lowering = (g, node, name) => {
  const [x, weights, bias] = [node.in(0), node.in(1), node.inputs[2]]
  const [filters, each] = weights.shape
  const group = node.int('group', 1)
  const [batch, , ...image] = x.shape
  const sizes = image.map(Number)
  if (g.without.has('Conv3D') || typeof batch !== 'number' || batch < FEW || x.dtype !== 'float32' || image.length > 2)
    return undefined
  if (group === 1 || filters !== group || each !== 1 || !sizes.every(Number.isInteger) || !isNarrow(sizes))
    return undefined
  const { kernel, strides, dilations, begin, end } = windowOf(node, kernelOf(node), image)
  const axes = x.shape.map((_, axis) => axis)
  const turn = (value: Value, by: number, as?: string): Value =>
    g.op(
      'Transpose',
      [value],
      { perm: axes.map((axis) => BigInt((axis + by + axes.length) % axes.length)) },
      as === undefined ? {} : { name: as },
    )
  const at = (place: number): Value => g.constant(int64s([place]))
  const inputs = [g.op('Unsqueeze', [turn(x, 1), at(0)]), g.op('Unsqueeze', [weights, at(-1)])]
  const y = g.op('Conv', bias === undefined ? inputs : [...inputs, bias], {
    kernel_shape: [...kernel, 1].map(BigInt),
    strides: [...strides, 1].map(BigInt),
    dilations: [...dilations, 1].map(BigInt),
    pads: [...begin, 0, ...end, 0].map(BigInt),
    group: BigInt(group),
  })
  return [turn(g.op('Squeeze', [y, at(0)]), -1, name)]
}
