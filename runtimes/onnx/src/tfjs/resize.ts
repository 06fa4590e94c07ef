import { type Interpolation, interpolated } from '../build/interpolate.js'
import type { Dim } from '../build/value.js'
import type { Emission, Rule, Rules } from './emission.js'
import type { Ref } from './graph-def.js'
import { Refused, toLast } from './values.js'

/** Each axis for itself, as Resize is separable: elements are picked where each is one of the input's, else mixed. */
const resize: Rule = (e) => {
  const axes = interpolated(e.info)
  if (axes === undefined) throw new Refused('its sizes are known only when the model runs')
  const isLast = e.values.isLast(e.in(0))
  const order = isLast ? toLast(axes.length) : axes.map((_, axis) => axis)
  const shape = order.map((axis) => e.in(0).shape[axis] as Dim)
  let y = isLast ? e.last(0) : e.first(0)
  for (const [at, axis] of order.entries()) {
    const own = axes[axis]
    if (own === undefined) continue
    y = along(e, y, shape, at, own)
    shape[at] = own.length
  }
  return isLast ? { last: y } : { first: y }
}

function along(
  e: Emission,
  x: Ref,
  shape: readonly Dim[],
  axis: number,
  { length, from, weights }: Interpolation,
): Ref {
  const matrix = Float32Array.from(weights())
  const rows = Array.from({ length }, (_, to) => matrix.subarray(to * from, (to + 1) * from))
  if (rows.every((row) => row.includes(1)))
    return e.op('GatherV2', [x, e.ints(rows.map((row) => row.indexOf(1))), e.number(axis, 'int32')])
  const mix = e.stored({ dtype: 'float32', shape: [1, length, from], data: matrix }, 'mix')
  const [before, after] = [shape.slice(0, axis), e.known(shape.slice(axis + 1), 'the shape of its image')]
  const width = after.reduce((product, size) => product * size, 1)
  const flat = e.op('Reshape', [x, e.ints([-1, from, width])])
  return e.reshape(e.op('BatchMatMulV2', [mix, flat]), [...before, length, ...after])
}

export const resizing: Rules = { Resize: resize }
