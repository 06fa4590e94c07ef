import { attributesOf } from '../format/node.js'
import type { Node } from '../generated/onnx_pb.js'
import type { GraphView } from './view.js'

/** Nodes on the way from an input to where it is filled: a graph that goes round in circles ends there. */
const MOST_STEPS = 16

/** Tells whether a model takes NaN in this place of an input's rows for a missing value. */
export type MayMiss = (input: string, place: number) => boolean

/**
 * Reads from a graph which numbers of its inputs may be missing: those that every reader fills. A reader fills a number
 * when it tests it (`IsNaN`), or takes another that is not NaN in its place (`Where(IsNaN(x), fill, x)`, a constant for
 * each place or one for all); `Gather` along the second axis of rows [rows, places] picks the numbers that its readers
 * see. This is what `columnTransform` and the layer `columns` make, and exporters make of imputers.
 */
export function missingIn(view: GraphView): MayMiss {
  const makers = new Map(view.graph.node.flatMap((node) => node.output.map((name) => [name, node] as const)))

  /** Which values of a constant, or of a sum of constants, are NaN; undefined for what is computed. */
  function nans(name: string | undefined, steps = 0): readonly boolean[] | undefined {
    const constant = view.constant(name)
    if (constant !== undefined)
      return constant.shape.length > 1 ? undefined : Array.from<unknown, boolean>(constant.data, Number.isNaN)
    const maker = makers.get(name ?? '')
    if (maker?.opType !== 'Add' || steps === MOST_STEPS) return undefined
    const [a, b] = maker.input.map((input) => nans(input, steps + 1))
    return a?.length === b?.length ? a?.map((isNaN, at) => isNaN || b?.[at] === true) : undefined
  }

  function readerFills(node: Node, name: string, place: number, steps: number): boolean {
    const [first, second, third] = node.input
    if (node.opType === 'IsNaN') return true
    if (node.opType === 'Where') {
      const test = makers.get(first ?? '')
      if (test?.opType !== 'IsNaN' || test.input[0] !== name || second === name || third !== name) return false
      const fills = nans(second)
      return fills !== undefined && fills[fills.length === 1 ? 0 : place] === false
    }
    if (node.opType === 'Gather' && first === name && second !== name) {
      const picked = view.constant(second)
      if (Number(attributesOf(node)['axis'] ?? 0) !== 1 || picked === undefined) return false
      const places = Array.from(picked.data as ArrayLike<unknown>, Number)
      // A place from the end, -1, could be any.
      return places.every((from, to) => from >= 0 && (from !== place || fills(node.output[0] ?? '', to, steps + 1)))
    }
    return false
  }

  const fills = (name: string, place: number, steps: number): boolean =>
    steps < MOST_STEPS &&
    !view.escapes(name) &&
    view.consumers(name).every((node) => readerFills(node, name, place, steps))

  return (input, place) => fills(input, place, 0)
}
