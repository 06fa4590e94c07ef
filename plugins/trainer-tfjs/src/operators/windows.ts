import * as tf from '@tensorflow/tfjs-core'
import type { NodeContext } from '../graph/node.js'
import { sliced } from '../graph/slice.js'

/** How a window goes over an image: per spatial axis. */
export interface Window {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  readonly begin: readonly number[]
  readonly end: readonly number[]
}

/** The window of a convolution or pooling node (ONNX: kernel_shape, strides, dilations, pads or auto_pad, ceil_mode). */
export function windowOf(c: NodeContext, sizes: readonly number[], kernel: readonly number[]): Window {
  const strides = c.ints('strides') ?? kernel.map(() => 1)
  const dilations = c.ints('dilations') ?? kernel.map(() => 1)
  const auto = c.string('auto_pad', 'NOTSET')
  const spans = kernel.map((size, axis) => (size - 1) * (dilations[axis] ?? 1) + 1)
  if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER') {
    const total = sizes.map((size, axis) => {
      const stride = strides[axis] ?? 1
      return Math.max(0, (Math.ceil(size / stride) - 1) * stride + (spans[axis] ?? 1) - size)
    })
    const less = total.map((pads) => Math.floor(pads / 2))
    const more = total.map((pads, axis) => pads - (less[axis] ?? 0))
    return {
      kernel,
      strides,
      dilations,
      begin: auto === 'SAME_UPPER' ? less : more,
      end: auto === 'SAME_UPPER' ? more : less,
    }
  }
  const pads = c.ints('pads') ?? []
  const begin = kernel.map((_, axis) => pads[axis] ?? 0)
  const end = kernel.map((_, axis) => pads[axis + kernel.length] ?? 0)
  return { kernel, strides, dilations, begin, end }
}

/** How many windows there are along each axis of an image. */
export function countsOf(
  { kernel, strides, dilations, begin, end }: Window,
  sizes: readonly number[],
  up = false,
): number[] {
  return sizes.map((size, axis) => {
    const span = ((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1
    const stride = strides[axis] ?? 1
    const room = size + (begin[axis] ?? 0) + (end[axis] ?? 0) - span
    if (!up) return Math.floor(room / stride) + 1
    const count = Math.ceil(room / stride) + 1
    // A window that would begin in the padding at the end is left out.
    return (count - 1) * stride >= size + (begin[axis] ?? 0) ? count - 1 : count
  })
}

/** An image [n, c, ...spatial] filled up so that `counts` windows fit, no more and no less. */
export function filled(x: tf.Tensor, window: Window, counts: readonly number[], value: number): tf.Tensor {
  const pads = counts.map((count, axis): [number, number] => {
    const span = ((window.kernel[axis] ?? 1) - 1) * (window.dilations[axis] ?? 1) + 1
    const before = window.begin[axis] ?? 0
    const needed = (count - 1) * (window.strides[axis] ?? 1) + span
    return [before, needed - before - (x.shape[axis + 2] as number)]
  })
  const begin = [0, 0, ...pads.map(() => 0)]
  const keep = [
    ...x.shape.slice(0, 2),
    ...pads.map(([, after], axis) => (x.shape[axis + 2] as number) + Math.min(0, after)),
  ]
  const cut = pads.some(([, after]) => after < 0) ? sliced(x, begin, keep) : x
  const added = pads.map(([before, after]): [number, number] => [before, Math.max(0, after)])
  if (added.every(([before, after]) => before === 0 && after === 0)) return cut
  return tf.pad(cut, [[0, 0], [0, 0], ...added], value)
}

/** Every place of a kernel, the last axis fastest. */
export const placesOf = (kernel: readonly number[]): number[][] =>
  kernel.reduce<number[][]>(
    (all, size) => all.flatMap((place) => Array.from({ length: size }, (_, at) => [...place, at])),
    [[]],
  )

/** What each window sees at one place of its kernel: [n, c, ...counts] of a filled image. */
export function seenAt(
  image: tf.Tensor,
  window: Window,
  counts: readonly number[],
  place: readonly number[],
): tf.Tensor {
  return counts.reduce<tf.Tensor>((rest, count, axis) => {
    const begin = (place[axis] ?? 0) * (window.dilations[axis] ?? 1)
    const stride = window.strides[axis] ?? 1
    if (stride === 1) {
      const starts = rest.shape.map((_, at) => (at === axis + 2 ? begin : 0))
      const sizes = rest.shape.map((length, at) => (at === axis + 2 ? count : length))
      return sliced(rest, starts, sizes)
    }
    return tf.gather(rest, tf.range(begin, begin + (count - 1) * stride + 1, stride, 'int32'), axis + 2)
  }, image)
}
