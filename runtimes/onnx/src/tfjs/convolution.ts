import { transposedWindow } from '../build/infer-spatial.js'
import type { Emission, Rule, Rules } from './emission.js'
import { type Attrs, attr, type Ref, WITH_BIAS } from './graph-def.js'
import { elements, partOf, permuted, type Stored, spread } from './tensor.js'
import { Refused } from './values.js'
import { byAxis, filled, imageGiven, imageOf, isSame, NHWC, pair, type Windows, windowsOf } from './windows.js'

/** A kernel [m, c, kh, kw]. */
function kernelIn(e: Emission): Stored {
  const kernel = e.constant(1)
  if (kernel === undefined) throw new Refused('its kernel is computed when the model runs')
  const [m = 1, c = 1, ...sizes] = kernel.shape
  return { ...kernel, shape: [m, c, ...pair(sizes, 1)] }
}

interface Convolution {
  readonly image: Ref
  readonly kernel: Stored
  readonly window: Windows
  readonly bias: Ref | undefined
}

const conv: Rule = (e) => {
  const window = windowsOf(e)
  const kernel = kernelIn(e)
  const groups = e.info.int('group', 1)
  const bias = e.maybe(2) && e.first(2)
  const both = Math.max(...window.strides) > 1 && Math.max(...window.dilations) > 1
  const plain = both
    ? { window: { ...window, kernel: spread(kernel, window.dilations).shape.slice(2), dilations: [1, 1] } }
    : { window }
  const whole = { image: imageOf(e), kernel: both ? spread(kernel, window.dilations) : kernel, bias, ...plain }
  if (groups === 1) return imageGiven(e, dense(e, whole))
  const isDepthwise = kernel.shape[1] === 1 && groups === Number(e.in(0).shape[1])
  // Kernels of one channel each have one stride for both axes.
  if (isDepthwise && window.strides[0] === window.strides[1]) return imageGiven(e, depthwise(e, whole, groups))
  return imageGiven(e, grouped(e, whole, groups))
}

const attrsOf = ({ strides, dilations }: Windows): Attrs => ({
  ...NHWC,
  strides: byAxis(strides),
  dilations: byAxis(dilations),
})

function dense(e: Emission, { image, kernel, window, bias }: Convolution): Ref {
  const [top, left] = window.begin
  const [bottom, right] = window.end
  const isValid = [...window.begin, ...window.end].every((size) => size === 0)
  const padding: Attrs = isValid
    ? { padding: attr.text('VALID') }
    : isSame(window)
      ? { padding: attr.text('SAME') }
      : {
          padding: attr.text('EXPLICIT'),
          explicit_paddings: attr.ints([0, 0, top ?? 0, bottom ?? 0, left ?? 0, right ?? 0, 0, 0]),
        }
  const weights = e.stored(permuted(kernel, [2, 3, 1, 0]), 'kernel')
  const attrs = { ...attrsOf(window), ...padding }
  if (bias === undefined) return e.op('Conv2D', [image, weights], attrs)
  return e.op('_FusedConv2D', [image, weights, bias], { ...attrs, ...WITH_BIAS })
}

function depthwise(e: Emission, { image, kernel, window, bias }: Convolution, channels: number): Ref {
  const same = isSame(window)
  const [all = 1, , kh = 1, kw = 1] = kernel.shape
  // The outputs of a channel lie together in both.
  const apart = permuted({ ...kernel, shape: [channels, all / channels, kh, kw] }, [2, 3, 0, 1])
  const weights = e.stored(apart, 'kernel')
  const attrs = { ...attrsOf(window), padding: attr.text(same ? 'SAME' : 'VALID') }
  const x = same ? image : filled(e, image, window, 0)
  if (bias === undefined) return e.op('DepthwiseConv2dNative', [x, weights], attrs)
  return e.op('FusedDepthwiseConv2dNative', [x, weights, bias], { ...attrs, ...WITH_BIAS })
}

function grouped(e: Emission, { image, kernel, window, bias }: Convolution, groups: number): Ref {
  const each = kernel.shape[1] as number
  const sizes = Array.from({ length: groups }, () => each)
  const images = e.split('SplitV', groups, [image, e.ints(sizes), e.number(3, 'int32')])
  const parts = images.map((part, at) =>
    dense(e, { image: part, kernel: partOf(kernel, at, groups), window, bias: undefined }),
  )
  const y = e.concat(parts, 3)
  return bias === undefined ? y : e.op('BiasAdd', [y, bias])
}

/** The gradient of a convolution by its image, of which the wanted part is cut out. */
const convTranspose: Rule = (e) => {
  const groups = e.info.int('group', 1)
  const { window, sizes } = transposedWindow(e.info)
  const given = kernelIn(e)
  const kernel = spread(given, pair(window.dilations, 1))
  const [strides, begin] = [pair(window.strides, 1), pair(window.begin, 0)]
  const wanted = pair(e.known(sizes, 'the size of its image'), 1)
  const image = pair(e.known(e.in(0).shape.slice(2), 'the size of its image'), 1)
  const [, out = 1, ...spans] = kernel.shape
  const full = image.map((size, axis) => (size - 1) * (strides[axis] as number) + (spans[axis] as number))
  const x = imageOf(e)
  const batch = e.op('Slice', [e.op('Shape', [x]), e.ints([0]), e.ints([1])])
  const shape = e.concat([batch, e.ints([...full, out])], 0)
  const sizesOf = Array.from({ length: groups }, () => (kernel.shape[0] as number) / groups)
  const images = groups === 1 ? [x] : e.split('SplitV', groups, [x, e.ints(sizesOf), e.number(3, 'int32')])
  const parts = images.map((part, at) => {
    const weights = e.stored(permuted(partOf(kernel, at, groups), [2, 3, 1, 0]), 'kernel')
    const attrs = { ...NHWC, strides: byAxis(strides), padding: attr.text('VALID') }
    return e.op('Conv2DBackpropInput', [shape, weights, part], attrs)
  })
  const y = fitted(e, e.concat(parts, 3), { full, begin, wanted, channels: out * groups })
  const bias = e.maybe(2)
  return imageGiven(e, bias === undefined ? y : e.op('BiasAdd', [y, e.values.first(bias)]))
}

interface Fit {
  readonly full: readonly number[]
  readonly begin: readonly number[]
  readonly wanted: readonly number[]
  readonly channels: number
}

/** Cropped, or filled with zeros at the end, to the wanted size. */
function fitted(e: Emission, y: Ref, { full, begin, wanted, channels }: Fit): Ref {
  const lacking = wanted.map((size, axis) => Math.max(0, (begin[axis] ?? 0) + size - (full[axis] ?? 0)))
  const isWhole = lacking.every((zeros) => zeros === 0)
  const whole = isWhole
    ? y
    : e.op('PadV2', [y, e.ints([0, 0, ...lacking.flatMap((zeros) => [0, zeros]), 0, 0], [4, 2]), e.number(0)])
  if (isWhole && elements(wanted) === elements(full)) return whole
  return e.op('Slice', [whole, e.ints([0, ...begin, 0]), e.ints([-1, ...wanted, channels])])
}

/** Convolutions over one or two spatial axes, channels last as TensorFlow.js has them. */
export const convolutions: Rules = { Conv: conv, ConvTranspose: convTranspose }
