import type { Emission, Rule, Rules } from './emission.js'
import { attr, type Ref } from './graph-def.js'
import { tfType } from './tensor.js'
import { Refused } from './values.js'

/** Indices from the end count as such. */
function fromFront(e: Emission, place: number, length: number | string): Ref {
  const constant = e.constant(place)
  if (constant?.data.every((index) => index >= 0)) return e.first(place)
  if (typeof length !== 'number') throw new Refused('the size of its axis is known only when the model runs')
  if (constant !== undefined) {
    const data = Int32Array.from(constant.data, (index) => (index < 0 ? index + length : index))
    return e.stored({ dtype: 'int32', shape: constant.shape, data }, 'indices')
  }
  const indices = e.first(place)
  const isBehind = e.op('Less', [indices, e.number(0, 'int32')])
  return e.op('SelectV2', [isBehind, e.op('AddV2', [indices, e.number(length, 'int32')]), indices])
}

const gather: Rule = (e) => {
  const axis = e.axis(e.info.int('axis', 0))
  const indices = fromFront(e, 1, e.in(0).shape[axis] ?? 1)
  return e.op('GatherV2', [e.first(0), indices, e.number(axis, 'int32')])
}

/** One and nought as two other numbers. */
function placed(e: Emission, hot: Ref, on: number, off: number): Ref {
  const dtype = tfType(e.out.dtype)
  if (dtype === 'bool') throw new Refused('truth values other than hot ones')
  return e.op('AddV2', [e.op('Mul', [hot, e.number(on - off, dtype)]), e.number(off, dtype)])
}

/** Hot at an index, along a new axis. */
const oneHot: Rule = (e) => {
  const depth = e.numbers(1)?.[0] ?? 1
  const rank = e.in(0).shape.length + 1
  const axis = e.axis(e.info.int('axis', -1), rank)
  const [off = 0, on = 1] = e.constant(2)?.data ?? []
  if (e.constant(2) === undefined) throw new Refused('its values are known only when the model runs')
  const whole = tfType(e.in(0).dtype) === 'int32' ? fromFront(e, 0, depth) : e.cast(e.first(0), 'int32')
  const dtype = tfType(e.out.dtype) ?? 'float32'
  // Not all backends have other values, or another type, than these.
  const inputs = [whole, e.number(depth, 'int32'), e.number(1, 'int32'), e.number(0, 'int32')]
  const hot = e.op('OneHot', inputs, { T: attr.type('int32'), axis: attr.int(-1) })
  const typed = dtype === 'int32' ? hot : e.cast(hot, dtype)
  const values = on === 1 && off === 0 ? typed : placed(e, typed, on, off)
  if (axis === rank - 1) return values
  const turn = Array.from({ length: rank - 1 }, (_, at) => at)
  turn.splice(axis, 0, rank - 1)
  return e.transpose(values, turn)
}

/** Operators that go by indices. */
export const gathers: Rules = {
  Gather: gather,
  OneHot: oneHot,
}
