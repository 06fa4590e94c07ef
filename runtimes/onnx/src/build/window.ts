import type { NodeContext } from './context.js'
import { type Dim } from './value.js'

/** Where a sliding operator's windows lie on its image, by spatial axis. Sizes are in elements. */
export interface Window {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  /** Padding before and after, with `auto_pad` worked out. */
  readonly begin: readonly number[]
  readonly end: readonly number[]
}

const ones = (rank: number): number[] => Array.from({ length: rank }, () => 1)

/** From the first element of a window to its last. */
export const spanOf = ({ kernel, dilations }: Pick<Window, 'kernel' | 'dilations'>, axis: number): number =>
  ((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1

/** The windows of Conv and of pools (ONNX operators Conv and MaxPool, attributes auto_pad, pads, strides, dilations). */
export function windowOf(
  node: NodeContext,
  kernel: readonly number[],
  image: readonly Dim[],
  auto = node.attributes['auto_pad'] ?? 'NOTSET',
): Window {
  const rank = kernel.length
  const strides = node.ints('strides') ?? ones(rank)
  const dilations = node.ints('dilations') ?? ones(rank)
  const pads = node.ints('pads') ?? Array.from({ length: 2 * rank }, () => 0)
  for (const [name, values, length] of [
    ['strides', strides, rank],
    ['dilations', dilations, rank],
    ['pads', pads, 2 * rank],
  ] as const)
    if (values.length !== length || values.some((value) => value < (name === 'pads' ? 0 : 1)))
      throw node.invalid(`${name} [${values.join(', ')}] for ${rank} spatial axes`)
  const given = { kernel, strides, dilations, begin: pads.slice(0, rank), end: pads.slice(rank) }
  if (auto === 'NOTSET') return given
  if (auto === 'VALID') return { ...given, begin: kernel.map(() => 0), end: kernel.map(() => 0) }
  const totals = image.map((size, axis) => {
    const stride = strides[axis] ?? 1
    // With stride 1 the padding is the same for every size.
    if (typeof size === 'string' && stride !== 1)
      throw node.invalid(`auto_pad with a stride needs spatial sizes that are known`)
    const length = typeof size === 'string' ? 1 : size
    return Math.max(0, (Math.ceil(length / stride) - 1) * stride + spanOf(given, axis) - length)
  })
  const small = totals.map((total) => Math.floor(total / 2))
  const large = totals.map((total) => Math.ceil(total / 2))
  return auto === 'SAME_LOWER' ? { ...given, begin: large, end: small } : { ...given, begin: small, end: large }
}

/** How many windows fit, by axis; a size known only at run time gives one that `fresh` names. */
export function windowCounts(node: NodeContext, window: Window, image: readonly Dim[], ceil = false): Dim[] {
  return image.map((size, axis) => {
    const stride = window.strides[axis] ?? 1
    const begin = window.begin[axis] ?? 0
    const room = begin + (window.end[axis] ?? 0) - spanOf(window, axis)
    if (typeof size === 'string') return stride === 1 && room === -1 ? size : node.fresh()
    if (size + room < 0) throw node.invalid(`its window of ${spanOf(window, axis)} does not fit a size of ${size}`)
    if (!ceil) return Math.floor((size + room) / stride) + 1
    const count = Math.ceil((size + room) / stride) + 1
    // A window must not lie in the padding after the image alone.
    return (count - 1) * stride >= size + begin ? count - 1 : count
  })
}
