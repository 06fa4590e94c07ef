import { type PlannedLayer, padsOf, type ResolvedLayer, type Shape, type Window, windowsOf } from '@tideway/core'
import type { Attributes, Value } from '@tideway/onnx'
import type { LayerContext } from './context.js'
import { biasOf } from './dense.js'
import { permuted, reordered } from './reorder.js'
import type { LayerRules, Regularizer, Step, WeightSpec } from './rule.js'

const channelsOf = ({ inputShapes }: PlannedLayer): number => inputShapes[0]?.at(-1) ?? 1

interface KernelArguments {
  readonly initializer: WeightSpec['initializer']
  readonly regularizer?: Regularizer
}

/** Keras's [...window, in, out] as ONNX's [out, in, ...window]; so does a transposed one's [...window, out, in]. */
function kernelOf(part: string, kerasShape: Shape, { initializer, regularizer }: KernelArguments): WeightSpec {
  const rank = kerasShape.length
  const order = [rank - 1, rank - 2, ...kerasShape.slice(2).map((_, axis) => axis)]
  const toGraph = (values: Float32Array) => permuted(values, kerasShape, order)
  return { part, kerasShape, shape: reordered(kerasShape, order), initializer, decays: true, regularizer, toGraph }
}

/** Keras's [height, width, in, multiplier] as ONNX's [in * multiplier, 1, height, width]: groups of one channel each. */
function depthwiseKernel(
  part: string,
  layer: Pick<ResolvedLayer<'depthwiseConv2d'>, 'kernelSize' | 'depthMultiplier'>,
  channels: number,
  { initializer, regularizer }: KernelArguments,
): WeightSpec {
  const [height, width] = layer.kernelSize
  const kerasShape = [height, width, channels, layer.depthMultiplier]
  const shape = [channels * layer.depthMultiplier, 1, height, width]
  const toGraph = (values: Float32Array) => permuted(values, kerasShape, [2, 3, 0, 1])
  return { part, kerasShape, shape, initializer, decays: true, regularizer, toGraph }
}

/** The attributes of windows over a row [...sizes, channels], with `same` as explicit pads. */
export function windowAttributes(windows: readonly Window[], row: Shape): Attributes {
  const pads = windows.map((window, axis) => padsOf(row[axis] ?? 1, window))
  return {
    kernel_shape: windows.map(({ size }) => BigInt(size)),
    strides: windows.map(({ stride }) => BigInt(stride)),
    pads: [...pads.map(([begin]) => BigInt(begin)), ...pads.map(([, end]) => BigInt(end))],
  }
}

type Convolution = 'conv1d' | 'conv2d' | 'depthwiseConv2d' | 'separableConv2d'

function convolve(c: LayerContext<Convolution>, part: string, kernel: Value, groups: number): Step {
  const { value, shape } = c.first()
  const windows = windowsOf(c.layer)
  const bias = part === 'convolved' && c.layer.useBias ? [c.parameter('bias')] : []
  return c.step(part, 'first', 'Conv', [value, kernel, ...bias], {
    ...windowAttributes(windows, shape),
    dilations: windows.map(({ dilation }) => BigInt(dilation)),
    group: BigInt(groups),
  })
}

const ofKernel = (layer: ResolvedLayer<'conv1d' | 'conv2d' | 'conv2dTranspose'>): KernelArguments => ({
  initializer: layer.kernelInitializer,
  regularizer: layer.kernelRegularizer,
})

const ofDepth = (layer: ResolvedLayer<'depthwiseConv2d' | 'separableConv2d'>): KernelArguments => ({
  initializer: layer.depthwiseInitializer,
  regularizer: layer.depthwiseRegularizer,
})

/** Convolutions; in the graph [batch, channels, ...sizes]. */
export const convolutionRules: LayerRules<Convolution | 'conv2dTranspose'> = {
  conv1d: {
    parameters: (layer, planned) => [
      kernelOf('kernel', [layer.kernelSize, channelsOf(planned) / layer.groups, layer.filters], ofKernel(layer)),
      ...biasOf(layer, layer.filters),
    ],
    forward: (c) => convolve(c, 'convolved', c.parameter('kernel'), c.layer.groups),
  },
  conv2d: {
    parameters: (layer, planned) => [
      kernelOf('kernel', [...layer.kernelSize, channelsOf(planned) / layer.groups, layer.filters], ofKernel(layer)),
      ...biasOf(layer, layer.filters),
    ],
    forward: (c) => convolve(c, 'convolved', c.parameter('kernel'), c.layer.groups),
  },
  depthwiseConv2d: {
    // Keras 2 and TensorFlow.js call it depthwise_kernel, Keras 3 kernel.
    parameters: (layer, planned) => [
      depthwiseKernel('depthwise_kernel', layer, channelsOf(planned), ofDepth(layer)),
      ...biasOf(layer, channelsOf(planned) * layer.depthMultiplier),
    ],
    forward: (c) => convolve(c, 'convolved', c.parameter('depthwise_kernel'), c.in().shape.at(-1) ?? 1),
  },
  separableConv2d: {
    parameters: (layer, planned) => [
      depthwiseKernel('depthwise_kernel', layer, channelsOf(planned), ofDepth(layer)),
      kernelOf('pointwise_kernel', [1, 1, channelsOf(planned) * layer.depthMultiplier, layer.filters], {
        initializer: layer.pointwiseInitializer,
        regularizer: layer.pointwiseRegularizer,
      }),
      ...biasOf(layer, layer.filters),
    ],
    forward: (c) => {
      const depthwise = convolve(c, 'depthwise', c.parameter('depthwise_kernel'), c.in().shape.at(-1) ?? 1)
      const inputs = [depthwise.add(`${c.layer.name}/depthwise`), c.parameter('pointwise_kernel')]
      return c.step('pointwise', 'first', 'Conv', c.layer.useBias ? [...inputs, c.parameter('bias')] : inputs, {
        kernel_shape: [1n, 1n],
      })
    },
  },
  conv2dTranspose: {
    parameters: (layer, planned) => [
      kernelOf('kernel', [...layer.kernelSize, layer.filters, channelsOf(planned)], ofKernel(layer)),
      ...biasOf(layer, layer.filters),
    ],
    forward: (c) => {
      const { kernelSize, strides, padding, useBias } = c.layer
      // What the window reaches beyond the output's size, or falls short of it.
      const excess = kernelSize.map((size, axis) => size - (strides[axis] ?? 1))
      const cut = excess.map((size) => (padding === 'same' ? Math.max(size, 0) : 0))
      const bias = useBias ? [c.parameter('bias')] : []
      return c.step('convolved', 'first', 'ConvTranspose', [c.first().value, c.parameter('kernel'), ...bias], {
        kernel_shape: kernelSize.map(BigInt),
        strides: strides.map(BigInt),
        pads: [...cut.map((size) => BigInt(Math.floor(size / 2))), ...cut.map((size) => BigInt(Math.ceil(size / 2)))],
        output_padding: excess.map((size) => BigInt(Math.max(-size, 0))),
      })
    },
  },
}
