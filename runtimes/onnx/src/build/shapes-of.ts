import type { NodeContext } from './context.js'
import type { Dim } from './value.js'

/** The sizes that a Shape gives: all, or those from `start` to `end`. */
export function shapePart(node: NodeContext): readonly Dim[] {
  const { shape } = node.in(0)
  return shape.slice(node.int('start', 0), node.attributes['end'] === undefined ? undefined : node.int('end', 0))
}

/** The axes that a Slice names. */
export const sliceAxes = (node: NodeContext): number[] | undefined =>
  node.constantInts(3)?.map((axis) => node.axis(axis, node.in(0).shape.length))

/** What a Slice takes of one axis; `start` and `length` are undefined while the axis's size is not known. */
export interface Range {
  readonly start: number | undefined
  readonly length: number | undefined
  readonly step: number
}

/** The ranges of a Slice, by axis; undefined when they are computed at run time. */
export function slices(node: NodeContext): Map<number, Range> | undefined {
  const [starts, ends] = [node.constantInts(1), node.constantInts(2)]
  const axes = node.inputs[3] === undefined ? starts?.map((_, axis) => axis) : sliceAxes(node)
  const steps = node.inputs[4] === undefined ? starts?.map(() => 1) : node.constantInts(4)
  if (starts === undefined || ends === undefined || axes === undefined || steps === undefined) return undefined
  return new Map(
    axes.map((axis, at): [number, Range] => {
      const size = node.in(0).shape[axis] ?? 1
      const step = steps[at] ?? 1
      if (step === 0) throw node.invalid('a step of 0')
      if (typeof size === 'string') return [axis, { start: undefined, length: undefined, step }]
      // Clamped as the operator says: to [0, size] going up, to [0, size - 1] and [-1, size - 1] going down.
      const clamp = (value: number, low: number, high: number): number =>
        Math.min(Math.max(value < 0 ? value + size : value, low), high)
      const start = clamp(starts[at] ?? 0, 0, step > 0 ? size : size - 1)
      const end = step > 0 ? clamp(ends[at] ?? 0, 0, size) : clamp(ends[at] ?? 0, -1, size - 1)
      return [axis, { start, length: Math.max(0, Math.ceil((end - start) / step)), step }]
    }),
  )
}
