/** Elements added before and behind an axis. */
export type Pads = readonly [begin: number, end: number]

/** What a window that slides over an axis takes. */
export interface Window {
  readonly size: number
  readonly stride: number
  readonly dilation: number
  readonly padding: 'valid' | 'same' | 'causal'
}

/** The elements that a dilated window spans. */
const span = ({ size, dilation }: Window): number => (size - 1) * dilation + 1

/** Explicit pads of a window over an axis of `length`, as TensorFlow's `same` puts them: the odd one behind. */
export function padsOf(length: number, window: Window): Pads {
  if (window.padding === 'valid') return [0, 0]
  if (window.padding === 'causal') return [span(window) - 1, 0]
  const needed = (Math.ceil(length / window.stride) - 1) * window.stride + span(window) - length
  const total = Math.max(needed, 0)
  return [Math.floor(total / 2), Math.ceil(total / 2)]
}

/** How often a window fits; 0 or less when it does not. */
export function slide(length: number, window: Window): number {
  const [begin, end] = padsOf(length, window)
  return Math.floor((length + begin + end - span(window)) / window.stride) + 1
}

/** The length that a transposed convolution gives. */
export function widened(length: number, { size, stride, padding }: Omit<Window, 'dilation'>): number {
  return padding === 'same' ? length * stride : length * stride + Math.max(size - stride, 0)
}
