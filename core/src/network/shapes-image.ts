import type { LayerType } from './schema.js'
import type { Shape, ShapeOf, ShapeRules } from './shapes.js'
import { slide, type Window, widened } from './windows.js'

const SERIES = 'rows [steps, features]'
const IMAGES = 'rows [height, width, channels]'

interface Windows {
  readonly kernelSize?: number | readonly number[]
  readonly poolSize?: number | readonly number[]
  readonly strides?: number | readonly number[]
  readonly dilationRate?: number | readonly number[]
  readonly padding: Window['padding']
}

const list = (value: number | readonly number[]): readonly number[] => (typeof value === 'number' ? [value] : value)

/** The windows of a convolution or pooling, one for each axis that it slides over. */
export function windowsOf(layer: Windows): Window[] {
  const sizes = list(layer.kernelSize ?? layer.poolSize ?? [])
  const strides = list(layer.strides ?? sizes)
  const dilations = list(layer.dilationRate ?? sizes.map(() => 1))
  return sizes.map((size, axis) => ({
    size,
    stride: strides[axis] ?? 1,
    dilation: dilations[axis] ?? 1,
    padding: layer.padding,
  }))
}

/** The shape behind windows that slide over all axes but the last. */
function slid(layer: Windows, shape: Shape, channels: number, parameters = 0): ShapeOf | string {
  const windows = windowsOf(layer)
  if (shape.length !== windows.length + 1) return windows.length === 1 ? SERIES : IMAGES
  const sizes = windows.map((window, axis) => slide(shape[axis] ?? 1, window))
  if (sizes.some((size) => size < 1)) return `at least its window's size in each axis (or padding 'same')`
  return { shape: [...sizes, channels], parameters }
}

interface Convolution extends Windows {
  readonly filters: number
  readonly kernelSize: number | readonly number[]
  readonly groups: number
  readonly useBias: boolean
}

function convolved(layer: Convolution, shape: Shape): ShapeOf | string {
  const { filters, groups, useBias } = layer
  const channels = shape.at(-1) ?? 1
  if (channels % groups !== 0 || filters % groups !== 0)
    return `channels (${channels}) and filters (${filters}) that ${groups} groups divide`
  const area = list(layer.kernelSize).reduce((product, size) => product * size, 1)
  return slid(layer, shape, filters, filters * ((area * channels) / groups + Number(useBias)))
}

interface Depthwise extends Windows {
  readonly kernelSize: readonly [number, number]
  readonly depthMultiplier: number
  readonly useBias: boolean
}

function depthwise(layer: Depthwise, shape: Shape): ShapeOf | string {
  const channels = (shape.at(-1) ?? 1) * layer.depthMultiplier
  const [height, width] = layer.kernelSize
  return slid(layer, shape, channels, channels * (height * width + Number(layer.useBias)))
}

const pool = (layer: Windows, shape: Shape): ShapeOf | string => slid(layer, shape, shape.at(-1) ?? 1)

const global =
  (axes: 1 | 2) =>
  ({ keepdims }: { readonly keepdims: boolean }, shape: Shape): ShapeOf | string => {
    if (shape.length !== axes + 1) return axes === 1 ? SERIES : IMAGES
    const channels = shape.at(-1) ?? 1
    return { shape: keepdims ? [...shape.slice(0, -1).map(() => 1), channels] : [channels] }
  }

type Margins = readonly [readonly [number, number], readonly [number, number]]

function resized(shape: Shape, change: (size: number, axis: 0 | 1) => number): ShapeOf | string {
  const [height, width, channels] = shape
  if (height === undefined || width === undefined || channels === undefined || shape.length !== 3) return IMAGES
  const sizes = [change(height, 0), change(width, 1)]
  return sizes.every((size) => size > 0) ? { shape: [...sizes, channels] } : 'rows larger than what is cropped'
}

const grown = (shape: Shape, margins: Margins, sign: 1 | -1): ShapeOf | string =>
  resized(shape, (size, axis) => size + sign * (margins[axis][0] + margins[axis][1]))

/** Layers with windows over images [height, width, channels] and series [steps, features]. */
export const shapesOfImages = {
  conv1d: convolved,
  conv2d: convolved,
  depthwiseConv2d: depthwise,
  separableConv2d: (layer, shape) => {
    const inner = depthwise({ ...layer, useBias: false }, shape)
    if (typeof inner === 'string') return inner
    const parameters = (inner.parameters ?? 0) + layer.filters * ((inner.shape.at(-1) ?? 1) + Number(layer.useBias))
    return { shape: [...inner.shape.slice(0, -1), layer.filters], parameters }
  },
  conv2dTranspose: (layer, shape) => {
    const [height, width] = layer.kernelSize
    const channels = shape.at(-1) ?? 1
    const out = resized(shape, (length, axis) =>
      widened(length, { size: layer.kernelSize[axis], stride: layer.strides[axis], padding: layer.padding }),
    )
    if (typeof out === 'string') return out
    const parameters = layer.filters * (height * width * channels + Number(layer.useBias))
    return { shape: [...out.shape.slice(0, -1), layer.filters], parameters }
  },
  maxPooling1d: pool,
  maxPooling2d: pool,
  averagePooling1d: pool,
  averagePooling2d: pool,
  globalAveragePooling1d: global(1),
  globalAveragePooling2d: global(2),
  globalMaxPooling1d: global(1),
  globalMaxPooling2d: global(2),
  zeroPadding2d: ({ padding }, shape) => grown(shape, padding, 1),
  cropping2d: ({ cropping }, shape) => grown(shape, cropping, -1),
  upSampling2d: ({ size }, shape) => resized(shape, (length, axis) => length * size[axis]),
} satisfies Partial<ShapeRules<LayerType>>
