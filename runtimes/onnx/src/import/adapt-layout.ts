import { type Dim, staticCount, type Value } from '../build/value.js'
import type { Attributes } from '../format/node.js'
import type { Adapter, NodeEmission } from './emission.js'

const without = (attributes: Attributes, ...names: readonly string[]): Attributes =>
  Object.fromEntries(Object.entries(attributes).filter(([name]) => !names.includes(name)))

/**
 * Reshape with a shape that is known: a constant, with 0 where a size of the data is kept and -1 for one other. Where
 * the exporter wrote its own batch size into the shape, the axis that holds the batch is the one that is -1.
 */
const reshape: Adapter = (e) => {
  const data = e.in(0)
  const sizes = e.sizes(1)
  if (sizes === undefined || e.int('allowzero', 0) === 1) return e.result('Reshape', e.inputs.slice(0, 2), e.attributes)
  const freed = withFreeBatch(e, sizes)
  if (freed !== undefined) return e.result('Reshape', [data, e.int64s(freed)])
  let free = sizes.includes(-1) ? 0 : 1
  const items = sizes.map((size, axis) => {
    if (typeof size === 'number') return size
    if (size === data.shape[axis]) return 0
    return free-- > 0 ? -1 : size
  })
  const shape = items.every((item) => typeof item === 'number') ? e.int64s(items) : e.in(1)
  return e.result('Reshape', [data, shape])
}

/** The new shape for another batch than the exporter's, where one axis of the data differs from the exporter's run. */
function withFreeBatch(e: NodeEmission, sizes: readonly Dim[]): number[] | undefined {
  const then = e.exported?.shapeOf(e.node.inputs[0] ?? '')
  if (e.exported === undefined || then === undefined) return undefined
  if (!then.every((size) => typeof size === 'number') || !sizes.every((size) => typeof size === 'number'))
    return undefined
  const differing = then.flatMap((size, axis) => (size === e.in(0).shape[axis] ? [] : [axis]))
  const [axis] = differing
  if (axis === undefined || differing.length > 1) return undefined
  const copied = sizes.map((size, at) => (size === 0 ? (then[at] ?? 1) : size))
  const known = product(copied.filter((size) => size !== -1))
  const wanted = copied.map((size) => (size === -1 ? product(then) / known : size))
  const at = batchAxis(then, axis, wanted, e.exported.batch)
  return wanted.map((size, place) => (place === at ? -1 : size))
}

/**
 * Which axis of `to` holds the batch that `axis` of `from` holds. Axes into which that one is split: the one of the
 * batch's size, else the outermost. None, where it is merged: the axis that begins where it begins (heads behind a
 * batch), but never the last, which holds features: then the one before (rows of a matrix).
 */
function batchAxis(from: readonly number[], axis: number, to: readonly number[], batch: number): number {
  const begin = product(from.slice(0, axis))
  const end = begin * (from[axis] ?? 1)
  const starts = to.map((_, at) => product(to.slice(0, at)))
  const within = to.flatMap((size, at) => {
    const start = starts[at] ?? 1
    return start >= begin && start * size <= end ? [at] : []
  })
  if (within.length > 0) return within.find((at) => to[at] === batch) ?? (within[0] as number)
  const at = Math.max(starts.indexOf(begin), 0)
  return at === to.length - 1 ? Math.max(at - 1, 0) : at
}

const product = (sizes: readonly number[]): number => sizes.reduce((total, size) => total * size, 1)

const flatten: Adapter = (e) => e.result('Flatten', [e.in(0)], e.attributes)

/** Axes were an attribute before operator set 13; left out by Squeeze they are all of size 1. */
const axesOf = (e: NodeEmission): number[] | undefined => e.ints('axes') ?? e.constantInts(1)

const squeeze: Adapter = (e) => {
  const axes = axesOf(e) ?? e.in(0).shape.flatMap((size, axis) => (size === 1 ? [axis] : []))
  return e.result('Squeeze', [e.in(0), e.int64s(axes)])
}

const unsqueeze: Adapter = (e) => {
  const axes = axesOf(e)
  if (axes === undefined) throw e.refuse('its axes are computed at run time')
  return e.result('Unsqueeze', [e.in(0), e.int64s(axes)])
}

/** Sizes were an attribute before 13, and since 18 there is a number of parts, of which the last may be smaller. */
const split: Adapter = (e) => {
  const parts = e.node.outputs.length
  const axis = e.axis(e.int('axis', 0))
  const whole = e.in(0).shape[axis]
  const given = e.ints('split') ?? e.constantInts(1)
  if (given === undefined && e.inputs[1] !== undefined) throw e.refuse('its sizes are computed at run time')
  if (given === undefined && typeof whole !== 'number') throw e.refuse('the size that it splits is not known')
  const chunk = Math.ceil(Number(whole) / parts)
  const sizes =
    given ?? Array.from({ length: parts }, (_, at) => Math.max(0, Math.min(chunk, Number(whole) - at * chunk)))
  return e.results('Split', [e.in(0), e.int64s(sizes)], { axis: BigInt(axis) }, parts)
}

/** Attributes before operator set 10. */
const slice: Adapter = (e) => {
  const [starts, ends] = [e.ints('starts'), e.ints('ends')]
  if (starts === undefined || ends === undefined) return e.result('Slice', e.inputs)
  const axes = e.ints('axes') ?? starts.map((_, axis) => axis)
  return e.result('Slice', [e.in(0), e.int64s(starts), e.int64s(ends), e.int64s(axes)])
}

/** Attributes before operator set 11; since 18 the axes may be named. */
const pad: Adapter = (e) => {
  const mode = e.string('mode', 'constant')
  if (mode === 'wrap') throw e.refuse('mode "wrap" is newer than operator set 17')
  const rank = e.in(0).shape.length
  const given = e.ints('pads') ?? e.constantInts(1)
  if (given === undefined) throw e.refuse('its pads are computed at run time')
  const value = e.opset < 11 ? e.scalar(e.float('value', 0)) : e.inputs[2]
  const axes = e.inputs[3] === undefined ? given.slice(0, rank).map((_, axis) => axis) : e.constantInts(3)
  if (axes === undefined) throw e.refuse('its axes are computed at run time')
  const pads = Array.from({ length: rank * 2 }, () => 0)
  for (const [at, named] of axes.entries()) {
    const axis = e.axis(named)
    pads[axis] = given[at] ?? 0
    pads[axis + rank] = given[at + axes.length] ?? 0
  }
  return e.result('Pad', [e.in(0), e.int64s(pads), ...(value === undefined ? [] : [value])], { mode })
}

/** Depth into blocks by reshaping, where the sizes are known (ONNX's own definition; DCR and CRD order). */
const depthToSpace: Adapter = (e) => {
  const block = e.int('blocksize', 1)
  const [, depth, height, width] = e.in(0).shape
  const part = Number(depth) / (block * block)
  if (staticCount([depth ?? 'c', height ?? 'h', width ?? 'w']) === undefined) throw e.refuse('its sizes are not known')
  const columns = e.string('mode', 'DCR') === 'DCR'
  const [h, w] = [Number(height), Number(width)]
  const blocks = e.op('Reshape', [
    e.in(0),
    e.int64s(columns ? [-1, block, block, part, h, w] : [-1, part, block, block, h, w]),
  ])
  const moved = e.op('Transpose', [blocks], { perm: (columns ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]).map(BigInt) })
  return e.result('Reshape', [moved, e.int64s([-1, part, h * block, w * block])])
}

const spaceToDepth: Adapter = (e) => {
  const block = e.int('blocksize', 1)
  const [, depth, height, width] = e.in(0).shape
  if (staticCount([depth ?? 'c', height ?? 'h', width ?? 'w']) === undefined) throw e.refuse('its sizes are not known')
  const [c, h, w] = [Number(depth), Number(height) / block, Number(width) / block]
  const blocks = e.op('Reshape', [e.in(0), e.int64s([-1, c, h, block, w, block])])
  const moved = e.op('Transpose', [blocks], { perm: [0, 3, 5, 1, 2, 4].map(BigInt) })
  return e.result('Reshape', [moved, e.int64s([-1, c * block * block, h, w])])
}

/** Scales were an attribute (Upsample 7), then an input; sizes and a region came with 11, named axes with 18. */
const resize: Adapter = (e) => {
  const rank = e.in(0).shape.length
  if (e.int('antialias', 0) === 1) throw e.refuse('antialias is newer than operator set 17')
  if (e.string('keep_aspect_ratio_policy', 'stretch') !== 'stretch')
    throw e.refuse('keep_aspect_ratio_policy is newer than operator set 17')
  const old = e.node.opType === 'Upsample' || e.opset < 11
  const axes = e.ints('axes')
  if (axes !== undefined && e.inputs[3] !== undefined) throw e.refuse('sizes by axis are newer than operator set 17')
  const scales = scalesOf(e, old ? e.inputs[1] : e.inputs[2], axes, rank)
  if (!old) {
    const attributes = without(e.attributes, 'antialias', 'axes', 'keep_aspect_ratio_policy')
    return e.result('Resize', scales === undefined ? e.inputs : [e.in(0), undefined, scales], attributes)
  }
  const attributes = {
    mode: e.string('mode', 'nearest'),
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  }
  return e.result('Resize', [e.in(0), undefined, scales ?? e.in(1)], attributes)
}

function scalesOf(
  e: NodeEmission,
  input: Value | undefined,
  axes: readonly number[] | undefined,
  rank: number,
): Value | undefined {
  const attribute = e.attributes['scales']
  if (Array.isArray(attribute))
    return e.g.constant({ dtype: 'float32', shape: [rank], data: Float32Array.from(attribute.map(Number)) })
  if (axes === undefined || input === undefined) return input
  const given = e.g.tensorOf(input.name)
  if (given === undefined) throw e.refuse('scales by axis that are computed at run time')
  const data = new Float32Array(rank).fill(1)
  for (const [at, axis] of axes.entries()) data[e.axis(axis)] = Number(given.data[at])
  return e.g.constant({ dtype: 'float32', shape: [rank], data })
}

/** Operators that move elements, by what older and newer operator sets call their arguments. */
export const layoutAdapters: Readonly<Record<string, Adapter>> = {
  DepthToSpace: depthToSpace,
  Flatten: flatten,
  Pad: pad,
  Reshape: reshape,
  Resize: resize,
  Slice: slice,
  SpaceToDepth: spaceToDepth,
  Split: split,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Upsample: resize,
}
