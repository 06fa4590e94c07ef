import { kernelOf } from '../build/infer-spatial.js'
import { type Dim } from '../build/value.js'
import { spanOf, type Window, windowOf } from '../build/window.js'
import type { Emission } from './emission.js'
import { type Attrs, attr, type Ref } from './graph-def.js'
import { type Form, Refused } from './values.js'

/** The windows of a node on an image of two axes; a line is an image of one row. */
export interface Windows extends Window {
  /** Of the image and of what the node gives. */
  readonly sizes: readonly number[]
  readonly counts: readonly number[]
}

/** An image [n, h, w, c]. */
export function imageOf(e: Emission, place = 0): Ref {
  const rank = e.in(place).shape.length
  if (rank === 3) return e.op('ExpandDims', [e.last(place), e.number(1, 'int32')])
  if (rank !== 4) throw new Refused(`${rank - 2} spatial axes`)
  return e.last(place)
}

/** What was computed on an image, of the rank that the node has. */
export function imageGiven(e: Emission, ref: Ref): Form {
  if (e.out.shape.length === 4) return { last: ref }
  return { last: e.op('Squeeze', [ref], { squeeze_dims: attr.ints([1]) }) }
}

/** A list by spatial axis, a row in front of a line's. */
export const pair = <T>(values: readonly T[], otherwise: T): [T, T] =>
  values.length === 1 ? [otherwise, values[0] as T] : [values[0] as T, values[1] as T]

export function windowsOf(e: Emission, kernel = kernelOf(e.info)): Windows {
  const image = e.in(0).shape.slice(2)
  const window = windowOf(e.info, kernel, image)
  const known = (shape: readonly Dim[]) => e.known(shape, 'the size of its image')
  return {
    kernel: pair(window.kernel, 1),
    strides: pair(window.strides, 1),
    dilations: pair(window.dilations, 1),
    begin: pair(window.begin, 0),
    end: pair(window.end, 0),
    sizes: pair(known(image), 1),
    counts: pair(known(e.out.shape.slice(2)), 1),
  }
}

/** Whether the padding is TensorFlow's SAME: as many windows as strides, what is odd at the end. */
export function isSame(window: Windows): boolean {
  return window.sizes.every((size, axis) => {
    const stride = window.strides[axis] ?? 1
    const count = Math.ceil(size / stride)
    const total = Math.max(0, (count - 1) * stride + spanOf(window, axis) - size)
    const begin = Math.floor(total / 2)
    return window.counts[axis] === count && window.begin[axis] === begin && window.end[axis] === total - begin
  })
}

/** An image filled up at its edges, with room for every window. */
export function filled(e: Emission, image: Ref, window: Windows, value: number): Ref {
  const added = window.sizes.flatMap((size, axis) => {
    const before = window.begin[axis] ?? 0
    const needed = ((window.counts[axis] ?? 1) - 1) * (window.strides[axis] ?? 1) + spanOf(window, axis)
    return [before, Math.max(0, needed - before - size)]
  })
  if (added.every((size) => size === 0)) return image
  return e.op('PadV2', [image, e.ints([0, 0, ...added, 0, 0], [4, 2]), e.number(value)])
}

/** TensorFlow's lists by axis of [n, h, w, c]. */
export const byAxis = (values: readonly number[]) => attr.ints([1, ...values, 1])

export const NHWC: Attrs = { data_format: attr.text('NHWC') }
