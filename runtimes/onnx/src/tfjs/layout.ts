import type { Dim } from '../build/value.js'
import { inLast, type Rule, type Rules } from './emission.js'
import { attr } from './graph-def.js'
import { elements, tfType } from './tensor.js'
import { type Form, Refused, toFirst, toLast } from './values.js'

const equal = (a: readonly number[], b: readonly number[]): boolean => a.join() === b.join()

/** Turning channels to the front or back is no work yet: whoever takes the result may want it as it was. */
const transpose: Rule = (e) => {
  const rank = e.in(0).shape.length
  const perm = e.info.ints('perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis)
  if (rank > 2 && e.values.isLast(e.in(0)) && equal(perm, toLast(rank))) return { first: e.last(0) }
  if (rank > 2 && equal(perm, toFirst(rank))) return { last: e.first(0) }
  return e.transpose(e.first(0), perm)
}

/** What moves no element: to the shape that inference gives. */
const reshape: Rule = (e) => {
  const { shape } = e.out
  if (shape.filter((size) => typeof size === 'string').length < 2) return e.reshape(e.first(0), shape)
  const given = e.node.opType === 'Reshape' ? e.maybe(1) : undefined
  // A size of 0 stands for the input's; one that is computed shows when the model is loaded.
  if (given === undefined || e.values.constant(given)?.data.includes(0)) return e.reshape(e.first(0), shape)
  return e.op('Reshape', [e.first(0), e.values.first(given)])
}

const concat: Rule = (e) => {
  const rank = e.out.shape.length
  const axis = e.axis(e.info.int('axis', 0), rank)
  const images = e.inputs.filter((value) => !e.values.isConstant(value))
  const isLast = images.length > 0 && images.every((value) => e.values.isLast(value))
  if (!isLast)
    return e.concat(
      e.inputs.map((value) => e.values.first(value)),
      axis,
    )
  return {
    last: e.concat(
      e.inputs.map((value) => e.values.lastTo(rank, value)),
      inLast(axis, rank),
    ),
  }
}

const split: Rule = (e) => {
  const rank = e.in(0).shape.length
  const axis = e.axis(e.info.int('axis', 0))
  const sizes = e.known(
    e.node.outputs.map(({ shape }) => shape[axis] as Dim),
    'the sizes of its parts',
  )
  const isLast = e.values.isLast(e.in(0))
  const [x, at] = isLast ? [e.last(0), inLast(axis, rank)] : [e.first(0), axis]
  const refs = e.split('SplitV', sizes.length, [x, e.ints(sizes), e.number(at, 'int32')])
  return refs.map((ref): Form => (isLast ? { last: ref } : { first: ref }))
}

/** Sizes that are known only when the model runs come from the second input, which then is computed in the graph. */
const expand: Rule = (e) => {
  const sizes = e.sizes(e.out.shape)
  if (!sizes.includes(-1)) return e.op('BroadcastTo', [e.first(0), e.ints(sizes)])
  if (tfType(e.in(0).dtype) === 'bool') throw new Refused('its shape is known only when the model runs')
  // Both may be wider than the other.
  const dtype = tfType(e.in(0).dtype) ?? 'float32'
  return e.op('AddV2', [
    e.first(0),
    e.op('Fill', [e.first(1), e.number(0, dtype)], { T: attr.type(dtype), index_type: attr.type('int32') }),
  ])
}

const trilu: Rule = (e) => {
  const [rows = 1, columns = 1] = e.known(e.out.shape.slice(-2), 'its shape')
  const shift = e.numbers(1)?.[0] ?? 0
  const isUpper = e.info.int('upper', 1) === 1
  const data = Uint8Array.from({ length: rows * columns }, (_, at) => {
    const off = (at % columns) - Math.floor(at / columns)
    return (isUpper ? off >= shift : off <= shift) ? 1 : 0
  })
  const stays = e.stored({ dtype: 'bool', shape: [rows, columns], data })
  return e.op('SelectV2', [stays, e.first(0), e.number(0, tfType(e.out.dtype) === 'int32' ? 'int32' : 'float32')])
}

/** [n, c, h, w] with blocks of pixels as channels, and back. */
const blocks =
  (isUp: boolean): Rule =>
  (e) => {
    const [n, c, h, w] = [e.in(0).shape[0] as Dim, ...e.known(e.in(0).shape.slice(1), 'its shape')] as [
      Dim,
      number,
      number,
      number,
    ]
    const b = e.info.int('blocksize', 1)
    const isDcr = e.text('mode', 'DCR') === 'DCR'
    const rest = c / (b * b)
    const inside = isDcr ? [n, b, b, rest, h, w] : [n, rest, b, b, h, w]
    const [shape, perm] = isUp
      ? [inside, isDcr ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3]]
      : [
          [n, c, h / b, b, w / b, b],
          [0, 3, 5, 1, 2, 4],
        ]
    return e.reshape(e.transpose(e.reshape(e.first(0), shape), perm), e.out.shape)
  }

const constantOfShape: Rule = (e) => {
  const value = e.node.attributes['value']
  const number = typeof value === 'object' && 'dtype' in value ? Number((value.data as ArrayLike<unknown>)[0]) : 0
  const dtype = tfType(e.out.dtype)
  if (dtype === undefined || dtype === 'bool') throw new Refused(`TensorFlow.js fills no ${e.out.dtype}`)
  const sizes = e.sizes(e.out.shape)
  if (sizes.includes(-1)) return e.op('Fill', [e.first(0), e.number(number, dtype)], { T: attr.type(dtype) })
  const Data = dtype === 'float32' ? Float32Array : Int32Array
  return e.stored({ dtype, shape: sizes, data: new Data(elements(sizes)).fill(number) })
}

/** Operators that move elements, and leave them as they are. */
export const layouts: Rules = {
  Concat: concat,
  ConstantOfShape: constantOfShape,
  DepthToSpace: blocks(true),
  Expand: expand,
  Flatten: reshape,
  Reshape: reshape,
  Shape: (e) => {
    const whole = e.op('Shape', [e.first(0)])
    const [rank, start, length] = [e.in(0).shape.length, e.info.int('start', 0), Number(e.out.shape[0])]
    if (length === rank) return whole
    return e.op('Slice', [whole, e.ints([start < 0 ? start + rank : start]), e.ints([length])])
  },
  Size: (e) => e.op('Size', [e.first(0)]),
  SpaceToDepth: blocks(false),
  Split: split,
  Squeeze: reshape,
  Tile: (e) => e.op('Tile', [e.first(0), e.ints(e.numbers(1) ?? [])]),
  Transpose: transpose,
  Trilu: trilu,
  Unsqueeze: reshape,
}
