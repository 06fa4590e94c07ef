import * as tf from '@tensorflow/tfjs-core'
import type { Kernel, Kernels } from '../graph/node.js'
import { countsOf, filled, windowOf } from './windows.js'

const TO_LAST = [0, 2, 3, 1]
const TO_FIRST = [0, 3, 1, 2]

/** A kernel [m, c, kh, kw] with zeros between its elements: TensorFlow.js has either strides or dilations. */
function dilated(kernel: tf.Tensor4D, [down, across]: readonly [number, number]): tf.Tensor4D {
  const spread = (x: tf.Tensor4D, axis: 2 | 3, by: number): tf.Tensor4D => {
    const length = x.shape[axis]
    if (by === 1 || length === 1) return x
    const [m, c, h, w] = x.shape
    const apart = tf.expandDims(x, axis + 1)
    const pads = apart.shape.map((_, at): [number, number] => (at === axis + 1 ? [0, by - 1] : [0, 0]))
    const wide = tf.reshape(tf.pad(apart, pads), axis === 2 ? [m, c, h * by, w] : [m, c, h, w * by]) as tf.Tensor4D
    const size = (length - 1) * by + 1
    return tf.slice(wide, [0, 0, 0, 0], axis === 2 ? [m, c, size, w] : [m, c, h, size])
  }
  return spread(spread(kernel, 2, down), 3, across)
}

/** A row of pixels as an image of one line, and the other way round. */
const asImage = (x: tf.Tensor): tf.Tensor4D => (x.rank === 3 ? tf.expandDims(x, 2) : x) as tf.Tensor4D
const pair = (values: readonly number[], otherwise: number): [number, number] =>
  values.length === 1 ? [otherwise, values[0] as number] : [values[0] as number, values[1] as number]

interface Convolution {
  /** [n, c, h, w], filled up. */
  readonly image: tf.Tensor4D
  /** [m, c / groups, kh, kw]. */
  readonly kernel: tf.Tensor4D
  readonly strides: [number, number]
  readonly dilations: [number, number]
  readonly groups: number
}

function convolve({ image, kernel, strides, dilations, groups }: Convolution): tf.Tensor4D {
  const both = Math.max(...strides) > 1 && Math.max(...dilations) > 1
  const weights = both ? dilated(kernel, dilations) : kernel
  const spacing: [number, number] = both ? [1, 1] : dilations
  const channels = image.shape[1]
  const rows = tf.transpose(image, TO_LAST)
  if (groups === 1) {
    const turned = tf.transpose(weights, [2, 3, 1, 0])
    return tf.transpose(tf.conv2d(rows, turned, strides, 'valid', 'NHWC', spacing), TO_FIRST)
  }
  if (groups === channels) {
    // Of [c · multiplier, 1, kh, kw]: the outputs of a channel lie together in both.
    const [all, , kh, kw] = weights.shape
    const apart = tf.transpose(tf.reshape(weights, [channels, all / channels, kh, kw]), [2, 3, 0, 1]) as tf.Tensor4D
    const square = strides[0] === strides[1]
    if (square) return tf.transpose(tf.depthwiseConv2d(rows, apart, strides, 'valid', 'NHWC', spacing), TO_FIRST)
  }
  const images: tf.Tensor4D[] = tf.split(image, groups, 1)
  const kernels = tf.split(weights, groups, 0)
  const parts = images.map((part, at) =>
    convolve({ image: part, kernel: kernels[at] as tf.Tensor4D, strides, dilations: spacing, groups: 1 }),
  )
  return tf.concat(parts, 1)
}

/** Adds one number a channel to [n, c, ...]. */
const biased = (y: tf.Tensor, bias: tf.Tensor | undefined): tf.Tensor =>
  bias === undefined ? y : tf.add(y, tf.reshape(bias, [1, bias.size, ...y.shape.slice(2).map(() => 1)]))

const conv: Kernel = (c) => {
  const [x, w] = [c.in(0), c.in(1)]
  if (x.rank > 4) throw c.invalid(`${x.rank - 2} spatial axes`)
  const sizes = x.shape.slice(2)
  const window = windowOf(c, sizes, w.shape.slice(2))
  const counts = countsOf(window, sizes)
  const y = convolve({
    image: asImage(filled(x, window, counts, 0)),
    kernel: asImage(w),
    strides: pair(window.strides, 1),
    dilations: pair(window.dilations, 1),
    groups: c.int('group', 1),
  })
  return biased(x.rank === 3 ? tf.squeeze(y, [2]) : y, c.maybe(2))
}

/** Crops, or fills with zeros, along the spatial axes. */
function fit(x: tf.Tensor, begin: readonly number[], sizes: readonly number[]): tf.Tensor {
  const wanted = sizes.map((size, axis) => ({ size, from: begin[axis] ?? 0 }))
  const lacking = wanted.map(({ size, from }, axis) => Math.max(0, from + size - (x.shape[axis + 2] as number)))
  const pads = lacking.map((zeros): [number, number] => [0, zeros])
  const whole = lacking.some((zeros) => zeros > 0) ? tf.pad(x, [[0, 0], [0, 0], ...pads]) : x
  return tf.slice(whole, [0, 0, ...wanted.map(({ from }) => from)], [...x.shape.slice(0, 2), ...sizes])
}

/** `conv2dTranspose` wants [kh, kw, out, in]; ONNX has [in, out / groups, kh, kw]. */
const convTranspose: Kernel = (c) => {
  const [x, w] = [c.in(0), c.in(1)]
  if (x.rank > 4) throw c.invalid(`${x.rank - 2} spatial axes`)
  const sizes = x.shape.slice(2)
  const given = windowOf(c, sizes, w.shape.slice(2))
  const strides = pair(given.strides, 1)
  const dilations = pair(given.dilations, 1)
  const groups = c.int('group', 1)
  const kernel = dilated(asImage(w), dilations)
  const image = asImage(x)
  const [n, , h, width] = image.shape
  const [, out, kh, kw] = kernel.shape
  const full: [number, number, number, number] = [n, (h - 1) * strides[0] + kh, (width - 1) * strides[1] + kw, out]
  const kernels = groups === 1 ? [kernel] : tf.split(kernel, groups, 0)
  const parts = (groups === 1 ? [image] : tf.split<tf.Tensor4D>(image, groups, 1)).map((part, at) =>
    tf.conv2dTranspose(
      tf.transpose(part, TO_LAST),
      tf.transpose(kernels[at] as tf.Tensor4D, [2, 3, 1, 0]),
      full,
      strides,
      'valid',
    ),
  )
  const whole = tf.transpose(tf.concat(parts, 3), TO_FIRST)
  const y = x.rank === 3 ? tf.squeeze(whole, [2]) : whole
  const extra = c.ints('output_padding') ?? sizes.map(() => 0)
  const spans = y.shape.slice(2).map((span, axis) => span + (extra[axis] ?? 0))
  const auto = c.string('auto_pad', 'NOTSET')
  const isSame = auto === 'SAME_UPPER' || auto === 'SAME_LOWER'
  const wanted =
    c.ints('output_shape') ?? (isSame ? sizes.map((size, axis) => size * (given.strides[axis] ?? 1)) : undefined)
  if (wanted !== undefined) {
    // Of what is too much, SAME_UPPER takes the smaller half from the beginning; all others the larger one.
    const cut = spans.map((span, axis) => (span - (wanted[axis] ?? 0)) / 2)
    const begin = cut.map(auto === 'SAME_UPPER' ? Math.floor : Math.ceil)
    return biased(fit(y, begin, wanted), c.maybe(2))
  }
  const lengths = spans.map((span, axis) => span - (given.begin[axis] ?? 0) - (given.end[axis] ?? 0))
  return biased(fit(y, given.begin, lengths), c.maybe(2))
}

/** Convolutions over one or two spatial axes, channels first as ONNX has them. */
export const convolutions: Kernels = { Conv: conv, ConvTranspose: convTranspose }
