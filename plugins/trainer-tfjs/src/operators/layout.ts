import * as tf from '@tensorflow/tfjs-core'
import type { Tensor } from '@tideway/core'
import { axisOf, type Kernel, type Kernels } from '../graph/node.js'
import { sliced } from '../graph/slice.js'

const size = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1)

const reshape: Kernel = (c) => {
  const x = c.in(0)
  const keepsZero = c.int('allowzero', 0) === 1
  const wanted = (c.numbers(1) ?? []).map((length, axis) =>
    length === 0 && !keepsZero ? (x.shape[axis] as number) : length,
  )
  return tf.reshape(x, wanted)
}

const flatten: Kernel = (c) => {
  const { shape, rank } = c.in(0)
  const axis = axisOf(c.int('axis', 1), rank)
  return tf.reshape(c.in(0), [size(shape.slice(0, axis)), size(shape.slice(axis))])
}

const squeeze: Kernel = (c) => {
  const { shape, rank } = c.in(0)
  const axes = c.list(1, 'axes')?.map((axis) => axisOf(axis, rank))
  const stays = (length: number, axis: number) => (axes === undefined ? length !== 1 : !axes.includes(axis))
  return tf.reshape(c.in(0), shape.filter(stays))
}

const unsqueeze: Kernel = (c) => {
  const { shape, rank } = c.in(0)
  const given = c.list(1, 'axes') ?? []
  const axes = given.map((axis) => axisOf(axis, rank + given.length)).sort((a, b) => a - b)
  const next = [...shape]
  for (const axis of axes) next.splice(axis, 0, 1)
  return tf.reshape(c.in(0), next)
}

const split: Kernel = (c) => {
  const x = c.in(0)
  const axis = axisOf(c.int('axis', 0), x.rank)
  const parts = c.node.output.length
  const whole = x.shape[axis] as number
  const even = Math.ceil(whole / parts)
  const sizes = c.list(1, 'split') ?? Array.from({ length: parts }, (_, at) => Math.min(even, whole - at * even))
  return tf.split(x, [...sizes], axis)
}

/** Where a slice begins and how many elements it has along an axis (ONNX Slice: ends are clamped). */
function along(length: number, start: number, end: number, step: number): { begin: number; count: number } {
  const clamp = (value: number, least: number, most: number) => Math.min(Math.max(value, least), most)
  const from = start < 0 ? start + length : start
  const to = end < 0 ? end + length : end
  const begin = step > 0 ? clamp(from, 0, length) : clamp(from, 0, length - 1)
  const stop = step > 0 ? clamp(to, 0, length) : clamp(end < -length ? -1 : to, -1, length - 1)
  return { begin, count: Math.max(0, Math.ceil((stop - begin) / step)) }
}

const slice: Kernel = (c) => {
  const x = c.in(0)
  const starts = c.list(1, 'starts') ?? []
  const ends = c.list(2, 'ends') ?? []
  const axes = (c.list(3, 'axes') ?? starts.map((_, at) => at)).map((axis) => axisOf(axis, x.rank))
  const steps = c.numbers(4) ?? starts.map(() => 1)
  const begin = x.shape.map(() => 0)
  const count = [...x.shape]
  const stepped: { readonly axis: number; readonly places: number[] }[] = []
  for (const [at, axis] of axes.entries()) {
    const step = steps[at] ?? 1
    const cut = along(x.shape[axis] as number, starts[at] ?? 0, ends[at] ?? 0, step)
    if (step === 1) [begin[axis], count[axis]] = [cut.begin, cut.count]
    else stepped.push({ axis, places: Array.from({ length: cut.count }, (_, place) => cut.begin + place * step) })
  }
  const cut = sliced(x, begin, count)
  return stepped.reduce<tf.Tensor>((rest, { axis, places }) => tf.gather(rest, tf.tensor1d(places, 'int32'), axis), cut)
}

const expand: Kernel = (c) => {
  const x = c.in(0)
  const wanted = c.numbers(1) ?? []
  const shape = tf.broadcast_util.assertAndGetBroadcastShape(x.shape, [...wanted])
  return tf.broadcastTo(x, shape)
}

const pad: Kernel = (c) => {
  const x = c.in(0)
  const given = c.list(1, 'pads') ?? []
  const axes = c.numbers(3)?.map((axis) => axisOf(axis, x.rank)) ?? [...x.shape.keys()]
  const pads = x.shape.map((): [number, number] => [0, 0])
  for (const [at, axis] of axes.entries()) pads[axis] = [given[at] ?? 0, given[at + axes.length] ?? 0]
  // Below zero: cut away.
  const begin = pads.map(([before]) => Math.max(0, -before))
  const count = pads.map(([, after], axis) => (x.shape[axis] as number) - (begin[axis] as number) - Math.max(0, -after))
  const isCut = count.some((length, axis) => length !== x.shape[axis])
  const cut = isCut ? sliced(x, begin, count) : x
  const added = pads.map(([before, after]): [number, number] => [Math.max(0, before), Math.max(0, after)])
  if (added.every(([before, after]) => before === 0 && after === 0)) return cut
  const mode = c.string('mode', 'constant')
  if (mode === 'constant') return tf.pad(cut, added, c.numbers(2)?.[0] ?? 0)
  if (mode === 'reflect') return tf.mirrorPad(cut, added, 'reflect')
  throw c.invalid(`mode "${mode}"`)
}

const constantOfShape: Kernel = (c) => {
  const value = c.attribute('value') as Tensor | undefined
  return tf.fill([...(c.numbers(0) ?? [])], Number(value?.data[0] ?? 0), dtypeOf(value?.dtype))
}

const dtypeOf = (dtype: Tensor['dtype'] | undefined): 'float32' | 'int32' | 'bool' => {
  if (dtype === undefined || dtype === 'float32') return 'float32'
  return dtype === 'bool' ? 'bool' : 'int32'
}

const trilu: Kernel = (c) => {
  const x = c.in(0)
  const [rows, columns] = x.shape.slice(-2) as [number, number]
  const shift = c.numbers(1)?.[0] ?? 0
  const isUpper = c.int('upper', 1) === 1
  const stays = Float32Array.from({ length: rows * columns }, (_, at) => {
    const off = (at % columns) - Math.floor(at / columns)
    return (isUpper ? off >= shift : off <= shift) ? 1 : 0
  })
  return tf.where(tf.cast(tf.tensor2d(stays, [rows, columns]), 'bool'), x, tf.zerosLike(x))
}

/** [n, c, h, w] with blocks of pixels as channels, and back. */
const depthToSpace: Kernel = (c) => {
  const [n, depth, h, w] = c.in(0).shape as [number, number, number, number]
  const b = c.int('blocksize', 1)
  const rest = depth / (b * b)
  const isDcr = c.string('mode', 'DCR') === 'DCR'
  const blocks = tf.reshape(c.in(0), isDcr ? [n, b, b, rest, h, w] : [n, rest, b, b, h, w])
  return tf.reshape(tf.transpose(blocks, isDcr ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]), [n, rest, h * b, w * b])
}

const spaceToDepth: Kernel = (c) => {
  const [n, depth, h, w] = c.in(0).shape as [number, number, number, number]
  const b = c.int('blocksize', 1)
  const blocks = tf.reshape(c.in(0), [n, depth, h / b, b, w / b, b])
  return tf.reshape(tf.transpose(blocks, [0, 3, 5, 1, 2, 4]), [n, depth * b * b, h / b, w / b])
}

/** Operators that move elements, and leave them as they are. */
export const layouts: Kernels = {
  Concat: (c) => tf.concat(c.all(), axisOf(c.int('axis', 0), c.in(0).rank)),
  ConstantOfShape: constantOfShape,
  DepthToSpace: depthToSpace,
  // Not while training: masks are fed.
  Dropout: (c) => [c.in(0), tf.onesLike(tf.cast(c.in(0), 'bool'))].slice(0, c.node.output.length),
  Expand: expand,
  Flatten: flatten,
  Identity: (c) => c.in(0),
  Pad: pad,
  Range: (c) => {
    const [from, to, step] = [0, 1, 2].map((place) => c.numbers(place)?.[0] ?? 0) as [number, number, number]
    return tf.range(from, to, step, c.in(0).dtype as 'int32')
  },
  Reshape: reshape,
  Shape: (c) => tf.tensor1d(c.in(0).shape, 'int32'),
  Size: (c) => tf.scalar(c.in(0).size, 'int32'),
  Slice: slice,
  SpaceToDepth: spaceToDepth,
  Split: split,
  Squeeze: squeeze,
  Tile: (c) => tf.tile(c.in(0), [...(c.numbers(1) ?? [])]),
  Transpose: (c) => tf.transpose(c.in(0), [...(c.ints('perm') ?? [...c.in(0).shape.keys()].reverse())]),
  Trilu: trilu,
  Unsqueeze: unsqueeze,
}
