import { slices } from '../build/shapes-of.js'
import type { Dim, Value } from '../build/value.js'
import type { GradientContext, GradientRule } from './context.js'
import { one, type Rules, zerosLike } from './rule.js'
import { positionsOf, scatterBack } from './rules-index.js'

const shapeOnly = one((c) => c.reshape(c.dy, c.in(0)))

const transpose = one((c) => {
  const rank = c.y.shape.length
  const order = c.info.ints('perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis)
  return c.op('Transpose', [c.dy], { perm: order.map((_, axis) => BigInt(order.indexOf(axis))) })
})

/** Each part is cut out; all of them in one go where all are needed. */
const concat: GradientRule = (c) => {
  const axis = c.info.axis(c.info.int('axis', 0), c.y.shape.length)
  const parts = c.node.inputs as readonly Value[]
  if (parts.length === 1) return [c.dy]
  if (parts.every((_, place) => c.needs(place))) {
    return c.ops('Split', [c.dy, lengths(c, parts, axis)], { axis: BigInt(axis) }, parts.length)
  }
  return parts.map((_, place) => {
    if (!c.needs(place)) return undefined
    const [start, end] = [place, place + 1].map((count) => joint(c, parts.slice(0, count), axis))
    return c.op('Slice', [c.dy, start, end, c.int64s([axis])])
  })
}

const known = (sizes: readonly Dim[]): sizes is number[] => sizes.every((size) => typeof size === 'number')

/** The lengths of parts along an axis, as a vector. */
function lengths(c: GradientContext, parts: readonly Value[], axis: number): Value {
  const sizes = parts.map((part) => part.shape[axis] ?? 1)
  if (known(sizes)) return c.int64s(sizes)
  const each = parts.map((part) => c.op('Gather', [c.op('Shape', [part]), c.int64s([axis])]))
  return each.length === 1 ? (each[0] as Value) : c.op('Concat', each, { axis: 0n })
}

/** The length of several parts together. */
function joint(c: GradientContext, parts: readonly Value[], axis: number): Value {
  const sizes = parts.map((part) => part.shape[axis] ?? 1)
  if (known(sizes)) return c.int64s([sizes.reduce((sum, size) => sum + size, 0)])
  return c.op('ReduceSum', [lengths(c, parts, axis), c.int64s([0])], { keepdims: 1n })
}

const split = one((c) => {
  const axis = c.info.axis(c.info.int('axis', 0), c.in(0).shape.length)
  const parts = c.node.outputs.map((output, place) => c.gradients[place] ?? zerosLike(c, output))
  return parts.length === 1 ? (parts[0] as Value) : c.op('Concat', parts, { axis: BigInt(axis) })
})

/** Zeros around what was cut out; with steps, or sizes known only at run time, back to the places that it came from. */
const slice = one((c) => {
  const { shape } = c.in(0)
  const pads = Array.from({ length: 2 * shape.length }, () => 0)
  for (const [axis, { start, length, step }] of slices(c.info) ?? [[0, { start: undefined, length: 0, step: 1 }]]) {
    const size = shape[axis]
    if (step !== 1 || start === undefined || length === undefined || typeof size !== 'number')
      return scatterBack(c, c.op('Slice', [positionsOf(c), ...c.node.inputs.slice(1)]))
    pads[axis] = start
    pads[axis + shape.length] = size - start - length
  }
  return pads.every((pad) => pad === 0) ? c.dy : c.op('Pad', [c.dy, c.int64s(pads)])
})

/** Negative pads cut off what was added; what was mirrored or repeated is added up where it came from. */
const pad: GradientRule = (c) => {
  const mode = c.node.attributes['mode'] ?? 'constant'
  if (mode !== 'constant')
    return [c.needs(0) ? scatterBack(c, c.op('Pad', [positionsOf(c), c.in(1)], { mode })) : undefined]
  const pads = c.info.constantInts(1)
  const back = pads === undefined ? c.op('Neg', [c.in(1)]) : c.int64s(pads.map((size) => -size))
  const inside = c.op('Pad', [c.dy, back])
  if (!c.needs(2)) return [inside]
  const total = (value: Value): Value => c.op('ReduceSum', [value], { keepdims: 0n })
  const value = c.reshape(c.op('Sub', [total(c.dy), total(inside)]), c.in(2))
  return [c.needs(0) ? inside : undefined, undefined, value]
}

/** The sum of the copies: along an axis of its own for each axis. */
const tile = one((c) => {
  const { shape } = c.in(0)
  const repeats = c.info.constantInts(1)
  if (repeats?.every((times) => times === 1)) return c.dy
  const free = shape.filter((size) => typeof size === 'string').length
  const direct = repeats !== undefined && free <= 1 && !shape.includes(0) && !repeats.includes(0)
  const pairs = direct
    ? c.int64s(shape.flatMap((size, axis) => [repeats[axis] ?? 1, typeof size === 'string' ? -1 : size]))
    : c.op('Reshape', [
        c.op(
          'Concat',
          [c.in(1), c.shapeOf(c.in(0))].map((part) => c.op('Unsqueeze', [part, c.int64s([1])])),
          { axis: 1n },
        ),
        c.int64s([2 * shape.length]),
      ])
  const apart = c.op('Reshape', [c.dy, pairs], direct ? {} : { allowzero: 1n })
  return c.op('ReduceSum', [apart, c.int64s(shape.map((_, axis) => 2 * axis))], { keepdims: 0n })
})

/** Operators that move, cut or repeat elements. */
export const layoutRules: Rules = {
  Concat: concat,
  Expand: one((c) => c.unbroadcast(c.dy, c.in(0))),
  Flatten: shapeOnly,
  Pad: pad,
  Reshape: shapeOnly,
  Slice: slice,
  Split: split,
  Squeeze: shapeOnly,
  Tile: tile,
  Transpose: transpose,
  Trilu: one((c) => c.op('Trilu', [c.dy, ...c.node.inputs.slice(1)], c.node.attributes)),
  Unsqueeze: shapeOnly,
}
