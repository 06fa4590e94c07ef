import type { Shape } from '@tideway/core'
import { type Attributes, floats } from '@tideway/onnx'
import type { Flow, LayerRules } from './rule.js'

const isFlat = ({ shape }: Flow): boolean => shape.slice(0, -1).every((size) => size === 1)
const counted = (shape: Shape): number => shape.reduce((product, size) => product * size, 1)

const RESIZE: Readonly<Record<string, Attributes>> = {
  nearest: { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
  // As Keras: the centers of pixels keep their place. TensorFlow.js keeps their corners.
  bilinear: { mode: 'linear', coordinate_transformation_mode: 'half_pixel' },
}

/** Layers that move, repeat or add elements. */
export const layoutRules: LayerRules<
  'flatten' | 'reshape' | 'permute' | 'zeroPadding2d' | 'cropping2d' | 'upSampling2d'
> = {
  flatten: {
    forward: (c) => {
      const flow = c.in()
      if (flow.shape.length === 1) return flow
      // Kernels behind it are in Keras's order, channels last; of a single place the order is the same.
      const { value } = isFlat(flow) ? flow : c.last()
      return c.step('flat', 'last', 'Reshape', [value, c.ints([0, counted(flow.shape)])])
    },
  },
  reshape: {
    forward: (c) => c.step('reshaped', 'last', 'Reshape', [c.last().value, c.ints([0, ...c.shape])]),
  },
  permute: {
    forward: (c) =>
      c.step('permuted', 'last', 'Transpose', [c.last().value], {
        perm: [0n, ...c.layer.dims.map((dim) => BigInt(dim))],
      }),
  },
  zeroPadding2d: {
    forward: (c) => {
      const [[top, bottom], [left, right]] = c.layer.padding
      const pads = c.ints([0, 0, top, left, 0, 0, bottom, right])
      return c.step('padded', 'first', 'Pad', [c.first().value, pads, c.scalar(0)], { mode: 'constant' })
    },
  },
  cropping2d: {
    forward: (c) => {
      const { value, shape } = c.first()
      const [[top, bottom], [left, right]] = c.layer.cropping
      const ends = [(shape[0] ?? 1) - bottom, (shape[1] ?? 1) - right]
      return c.step('cropped', 'first', 'Slice', [value, c.ints([top, left]), c.ints(ends), c.ints([2, 3])])
    },
  },
  upSampling2d: {
    forward: (c) => {
      const scales = c.g.constant(floats('float32', [1, 1, ...c.layer.size], [4]))
      const attributes = RESIZE[c.layer.interpolation]
      return c.step('resized', 'first', 'Resize', [c.first().value, undefined, scales], attributes)
    },
  },
}
