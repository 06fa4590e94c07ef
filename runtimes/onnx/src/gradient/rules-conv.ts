import { isBlocked } from '../build/blocked.js'
import { kernelOf, transposedWindow } from '../build/infer-spatial.js'
import { isNarrow } from '../build/lower-conv.js'
import { besidesChannels } from '../build/lower-normalization.js'
import type { Value } from '../build/value.js'
import { spanOf, type Window, windowOf } from '../build/window.js'
import type { GradientContext, GradientRule } from './context.js'
import { weightGradient } from './conv-weights.js'
import { type Rules, zerosLike } from './rule.js'
import { batchFirst, batchLast, known } from './windows.js'

const bigints = (values: readonly number[]): bigint[] => values.map(BigInt)

/** The sum over everything but the channels: nothing before a batch normalization, which takes the mean off again. */
function byBias(c: GradientContext): Value {
  if (c.isBalanced(c.dy)) return zerosLike(c, c.in(2))
  const blocked = c.g.inBlocks.get(c.dy.name)
  const channels = c.dy.shape[1]
  // A single block is a matrix for each image, whose rows are summed.
  if (blocked !== undefined && channels !== undefined && channels === c.g.block && c.dy.shape.length === 4) {
    const [height = 1, width = 1] = known(c, c.dy.shape.slice(2))
    const images = c.op('Reshape', [blocked, c.int64s([0, height * width, channels])])
    const each = c.op('ReduceSum', [images, c.int64s([1])], { keepdims: 0n })
    return c.op('ReduceSum', [each, c.int64s([0])], { keepdims: 0n })
  }
  return c.op('ReduceSum', [c.dy, c.int64s(besidesChannels(c.dy))], { keepdims: 0n })
}

const conv: GradientRule = (c) => {
  const window = windowOf(c.info, kernelOf(c.info), c.in(0).shape.slice(2))
  const group = c.info.int('group', 1)
  return [
    c.needs(0) ? byImage(c, window, group) : undefined,
    c.needs(1) ? weightGradient(c, { image: c.in(0), dy: c.dy, window, group }) : undefined,
    c.needs(2) ? byBias(c) : undefined,
  ]
}

/** With stride 1 a Conv with the kernel turned around, which runs at twice the speed of ConvTranspose; else that. */
function byImage(c: GradientContext, window: Window, group: number): Value {
  const sizes = known(c, c.in(0).shape.slice(2))
  const counts = known(c, c.dy.shape.slice(2))
  const { kernel, strides, dilations, begin, end } = window
  const before = kernel.map((_, axis) => spanOf(window, axis) - 1 - (begin[axis] ?? 0))
  const attributes = { kernel_shape: bigints(kernel), dilations: bigints(dilations), group: BigInt(group) }
  if (strides.every((stride) => stride === 1) && before.every((pad) => pad >= 0)) {
    const after = sizes.map((size, axis) => size - (counts[axis] ?? 0) - (before[axis] ?? 0) + spanOf(window, axis) - 1)
    if (after.every((pad) => pad >= 0))
      return slid(c, turned(c, c.in(1), kernel, group), { ...window, begin: before, end: after }, group)
  }
  const extra = sizes.map((size, axis) => {
    const reached = ((counts[axis] ?? 1) - 1) * (strides[axis] ?? 1) + spanOf(window, axis)
    return size - reached + (begin[axis] ?? 0) + (end[axis] ?? 0)
  })
  return c.op('ConvTranspose', [c.dy, c.in(1)], {
    ...attributes,
    strides: bigints(strides),
    pads: bigints([...begin, ...end]),
    output_padding: bigints(extra),
  })
}

/** A Conv of the gradient with stride 1; depthwise on narrow planes, with the batch as one more spatial axis. */
function slid(c: GradientContext, weights: Value, { kernel, dilations, begin, end }: Window, group: number): Value {
  const [filters, each] = weights.shape
  const narrow =
    !c.g.without.has('Conv3D') &&
    c.dy.shape[0] !== 0 &&
    each === 1 &&
    filters === group &&
    group > 1 &&
    !isBlocked(c.g, c.dy, group) &&
    kernel.length < 3 &&
    isNarrow(known(c, c.dy.shape.slice(2)))
  const more = narrow ? ([[1], [0]] as const) : ([[], []] as const)
  const attributes = {
    kernel_shape: bigints([...kernel, ...more[0]]),
    dilations: bigints([...dilations, ...more[0]]),
    pads: bigints([...begin, ...more[1], ...end, ...more[1]]),
    group: BigInt(group),
  }
  if (!narrow) return c.op('Conv', [c.dy, weights], attributes)
  // A spatial axis must not be empty, as a batch may be: where its size is not known, an image is added and taken away.
  const open = typeof c.dy.shape[0] === 'string'
  const rank = c.dy.shape.length
  const ends = c.int64s(Array.from({ length: 2 * rank }, (_, at) => (at === rank ? 1 : 0)))
  const dy = open ? c.op('Pad', [c.dy, ends]) : c.dy
  const image = c.op('Unsqueeze', [batchLast(c, dy), c.int64s([0])])
  const y = c.op('Conv', [image, c.op('Unsqueeze', [weights, c.int64s([-1])])], attributes)
  const all = batchFirst(c, c.op('Squeeze', [y, c.int64s([0])]))
  return open ? c.op('Slice', [all, ...[[0], [-1], [0]].map((values) => c.int64s(values))]) : all
}

/** Weights [O, C / group, …] as those of the way back [C, O / group, …], the kernel from its end. */
function turned(c: GradientContext, weights: Value, kernel: readonly number[], group: number): Value {
  const [filters, each] = known(c, weights.shape.slice(0, 2)) as [number, number]
  const places = kernel.reduce((a, b) => a * b, 1)
  const flat = c.op('Reshape', [weights, c.int64s([group, filters / group, each, places])])
  const reversed =
    places === 1 ? flat : c.op('Slice', [flat, ...[[-1], [-places - 1], [3], [-1]].map((v) => c.int64s(v))])
  const swapped = filters === group && each === 1 ? reversed : c.op('Transpose', [reversed], { perm: [0n, 2n, 1n, 3n] })
  return c.op('Reshape', [swapped, c.int64s([group * each, filters / group, ...kernel])])
}

/** The way back of a Conv: so its own way back is that Conv, and its weights' gradient that Conv's. */
const convTranspose: GradientRule = (c) => {
  const { window } = transposedWindow(c.info)
  const group = c.info.int('group', 1)
  known(c, c.y.shape.slice(2))
  const attributes = {
    kernel_shape: bigints(window.kernel),
    strides: bigints(window.strides),
    dilations: bigints(window.dilations),
    pads: bigints([...window.begin, ...window.end]),
    group: BigInt(group),
  }
  return [
    c.needs(0) ? c.op('Conv', [c.dy, c.in(1)], attributes) : undefined,
    c.needs(1) ? weightGradient(c, { image: c.dy, dy: c.in(0), window, group }) : undefined,
    c.needs(2) ? byBias(c) : undefined,
  ]
}

export const convRules: Rules = { Conv: conv, ConvTranspose: convTranspose }
