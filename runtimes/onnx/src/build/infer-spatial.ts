import { inferBlocked } from './blocked.js'
import type { InferRule, NodeContext } from './context.js'
import { interpolated } from './interpolate.js'
import { show } from './shapes.js'
import type { Dim } from './value.js'
import { spanOf, type Window, windowCounts, windowOf } from './window.js'

/** The batch axis, the channel axis and the rest. */
function image(node: NodeContext): { batch: Dim; channels: Dim; spatial: Dim[] } {
  const [batch, channels, ...spatial] = node.in(0).shape
  if (batch === undefined || channels === undefined || spatial.length === 0)
    throw node.invalid(`${show(node.in(0).shape)} has no spatial axes`)
  return { batch, channels, spatial }
}

/** The sizes of a convolution's kernel, from its weights or else its attribute. */
export function kernelOf(node: NodeContext): number[] {
  const sizes = node.in(1).shape.slice(2)
  const kernel = sizes.every((size) => typeof size === 'number') ? sizes : node.ints('kernel_shape')
  if (kernel === undefined) throw node.invalid('the size of its kernel is not known')
  if (kernel.length !== node.in(0).shape.length - 2)
    throw node.invalid(`${show(node.in(1).shape)} is no kernel for ${show(node.in(0).shape)}`)
  return kernel
}

const conv: InferRule = (node) => {
  const { batch, channels, spatial } = image(node)
  const [out, each] = node.in(1).shape
  const group = node.int('group', 1)
  if (typeof channels === 'number' && typeof each === 'number' && channels !== each * group)
    throw node.invalid(`${channels} channels, but weights for ${group} groups of ${each}`)
  if (typeof out === 'number' && out % group !== 0) throw node.invalid(`${out} filters in ${group} groups`)
  return node.like([batch, out ?? 1, ...windowCounts(node, windowOf(node, kernelOf(node), spatial), spatial)])
}

/** The windows of a ConvTranspose on its output: those of the Conv whose gradient it is. */
export function transposedWindow(node: NodeContext): { window: Window; sizes: Dim[] } {
  const { spatial } = image(node)
  const kernel = kernelOf(node)
  const extra = node.ints('output_padding') ?? kernel.map(() => 0)
  const auto = node.attributes['auto_pad'] ?? 'NOTSET'
  const window = windowOf(node, kernel, spatial, 'NOTSET')
  const wanted = node.ints('output_shape')?.slice(-kernel.length)
  const full = (size: number, axis: number): number =>
    (size - 1) * (window.strides[axis] ?? 1) + (extra[axis] ?? 0) + spanOf(window, axis)
  if (wanted === undefined && (auto === 'NOTSET' || auto === 'VALID')) {
    const none = kernel.map(() => 0)
    const padded = auto === 'VALID' ? { ...window, begin: none, end: none } : window
    const sizes = spatial.map((size, axis) =>
      typeof size === 'string' ? node.fresh() : full(size, axis) - (padded.begin[axis] ?? 0) - (padded.end[axis] ?? 0),
    )
    return { window: padded, sizes }
  }
  const sizes = spatial.map((size, axis) => {
    if (typeof size === 'string') throw node.invalid('auto_pad and output_shape need spatial sizes that are known')
    return wanted?.[axis] ?? size * (window.strides[axis] ?? 1)
  })
  const totals = sizes.map((size, axis) => Math.max(0, full(Number(spatial[axis]), axis) - size))
  const [small, large] = [Math.floor, Math.ceil].map((round) => totals.map((total) => round(total / 2)))
  const [begin, end] = auto === 'SAME_UPPER' ? [small, large] : [large, small]
  return { window: { ...window, begin: begin ?? [], end: end ?? [] }, sizes }
}

const convTranspose: InferRule = (node) => {
  const { batch } = image(node)
  const each = node.in(1).shape[1] ?? 1
  const out = typeof each === 'number' ? each * node.int('group', 1) : node.fresh()
  return node.like([batch, out, ...transposedWindow(node).sizes])
}

const pool: InferRule = (node) => {
  const { batch, channels, spatial } = image(node)
  const kernel = node.ints('kernel_shape')
  if (kernel?.length !== spatial.length) throw node.invalid(`kernel_shape [${kernel?.join(', ') ?? ''}]`)
  const counts = windowCounts(node, windowOf(node, kernel, spatial), spatial, node.int('ceil_mode', 0) === 1)
  const shape = [batch, channels, ...counts]
  const values = { dtype: node.in(0).dtype, shape }
  return node.outputCount > 1 ? [values, { dtype: 'int64', shape }] : [values]
}

/** As large as its third input says. */
const maxUnpool: InferRule = (node) => {
  const { batch, channels, spatial } = image(node)
  return node.like(node.sizes(2) ?? [batch, channels, ...spatial.map(() => node.fresh())])
}

const globalPool: InferRule = (node) => {
  const { batch, channels, spatial } = image(node)
  return node.like([batch, channels, ...spatial.map(() => 1)])
}

/** With running statistics as further outputs where it trains. */
const batchNormalization: InferRule = (node) => {
  const { dtype, shape } = node.in(0)
  const statistics = { dtype: node.in(3).dtype, shape: [shape[1] ?? 1] }
  return [{ dtype, shape }, ...(node.int('training_mode', 0) === 1 ? [statistics, statistics] : [])]
}

/** Its mean and inverse deviation, float32 whatever its input, are always written: its gradient takes them. */
const layerNormalization: InferRule = (node) => {
  const { dtype, shape } = node.in(0)
  const axis = node.axis(node.int('axis', -1), shape.length)
  const kept = { dtype: 'float32' as const, shape: shape.map((size, at) => (at < axis ? size : 1)) }
  return [{ dtype, shape }, kept, kept]
}

const resize: InferRule = (node) => {
  const { shape } = node.in(0)
  const axes = interpolated(node)
  return node.like(shape.map((size, axis) => axes?.[axis]?.length ?? (axes === undefined ? node.fresh() : size)))
}

/** Channels to blocks of pixels, or back. */
const blocks =
  (up: boolean): InferRule =>
  (node) => {
    const { batch, channels, spatial } = image(node)
    const block = node.int('blocksize', 0)
    if (block < 1 || spatial.length !== 2) throw node.invalid(`blocks of ${block} in ${show(node.in(0).shape)}`)
    const by = (size: Dim, grow: boolean, factor: number): Dim => {
      if (typeof size === 'string') return node.fresh()
      if (!grow && size % factor !== 0) throw node.invalid(`${size} does not divide by ${factor}`)
      return grow ? size * factor : size / factor
    }
    return node.like([batch, by(channels, !up, block * block), ...spatial.map((size) => by(size, up, block))])
  }

/** Operators on images: a batch axis, a channel axis, and spatial axes. */
export const inferSpatial: Readonly<Record<string, InferRule>> = {
  ...inferBlocked(conv, pool),
  AveragePool: pool,
  BatchNormalization: batchNormalization,
  Conv: conv,
  ConvTranspose: convTranspose,
  DepthToSpace: blocks(true),
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  InstanceNormalization: (node) => node.like(),
  LayerNormalization: layerNormalization,
  MaxPool: pool,
  MaxUnpool: maxUnpool,
  Resize: resize,
  SpaceToDepth: blocks(false),
}
