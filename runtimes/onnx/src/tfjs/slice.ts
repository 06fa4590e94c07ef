import { slices } from '../build/shapes-of.js'
import type { Dim } from '../build/value.js'
import { type Emission, inLast, type Rule, type Rules } from './emission.js'
import { attr, type Ref } from './graph-def.js'
import { tfType } from './tensor.js'
import { type Form, Refused, toLast } from './values.js'

/** Elements from `begin` on, `count` of them (-1: the rest), in the layout that the input has. */
function cut(e: Emission, begin: readonly number[], count: readonly number[]): Form {
  const rank = begin.length
  const isLast = e.values.isLast(e.in(0))
  const turned = (all: readonly number[]) => e.ints(isLast ? toLast(rank).map((axis) => all[axis] as number) : all)
  const ref = e.op('Slice', [isLast ? e.last(0) : e.first(0), turned(begin), turned(count)])
  return isLast ? { last: ref } : { first: ref }
}

const slice: Rule = (e) => {
  const ranges = slices(e.info)
  if (ranges === undefined) throw new Refused('what it takes is known only when the model runs')
  const { shape } = e.in(0)
  const ends = e.numbers(2) ?? []
  const begin = shape.map(() => 0)
  const count = shape.map(() => -1)
  const stepped: { axis: number; places: number[] }[] = []
  for (const [at, [axis, { start, length, step }]] of [...ranges].entries()) {
    if (start === undefined || length === undefined) {
      const from = e.numbers(1)?.[at] ?? 0
      if (from < 0 || step !== 1 || (ends[at] ?? 0) < 2 ** 31 - 1)
        throw new Refused(`axis ${axis} has a size that is known only when the model runs`)
      begin[axis] = from
    } else if (step === 1) {
      begin[axis] = start
      count[axis] = length
    } else stepped.push({ axis, places: Array.from({ length }, (_, place) => start + place * step) })
  }
  const part = cut(e, begin, count)
  if (stepped.length === 0) return part
  const isLast = part.last !== undefined
  const ref = stepped.reduce(
    (rest, { axis, places }) =>
      e.op('GatherV2', [rest, e.ints(places), e.number(isLast ? inLast(axis, shape.length) : axis, 'int32')]),
    (part.last ?? part.first) as Ref,
  )
  return isLast ? { last: ref } : { first: ref }
}

const pad: Rule = (e) => {
  const { shape } = e.in(0)
  const rank = shape.length
  const given = e.numbers(1) ?? []
  const axes = e.numbers(3)?.map((axis) => e.axis(axis)) ?? [...shape.keys()]
  const pads = shape.map((): [number, number] => [0, 0])
  for (const [at, axis] of axes.entries()) pads[axis] = [given[at] ?? 0, given[at + axes.length] ?? 0]
  const begin = pads.map(([before]) => Math.max(0, -before))
  const count = pads.map(([before, after], axis) =>
    before >= 0 && after >= 0
      ? -1
      : (e.known([shape[axis] as Dim], 'the size of what it cuts')[0] as number) +
        Math.min(0, before) +
        Math.min(0, after),
  )
  const isCut = pads.some((both) => both.some((size) => size < 0))
  const isLast = e.values.isLast(e.in(0))
  const whole: Form = isLast ? { last: e.last(0) } : { first: e.first(0) }
  const part = isCut ? cut(e, begin, count) : whole
  const added = (isLast ? toLast(rank) : [...shape.keys()]).flatMap((axis) =>
    (pads[axis] as [number, number]).map((size) => Math.max(0, size)),
  )
  if (added.every((size) => size === 0)) return part
  const inputs = [(part.last ?? part.first) as Ref, e.ints(added, [rank, 2])]
  const mode = e.text('mode', 'constant')
  if (mode !== 'constant' && mode !== 'reflect') throw new Refused(`TensorFlow.js has no mode "${mode}"`)
  const dtype = tfType(e.out.dtype) === 'int32' ? 'int32' : 'float32'
  const ref =
    mode === 'reflect'
      ? e.op('MirrorPad', inputs, { mode: attr.text('REFLECT') })
      : e.op('PadV2', [...inputs, e.number(Number(e.numbers(2)?.[0] ?? 0), dtype)])
  return isLast ? { last: ref } : { first: ref }
}

/** Operators that cut elements away, and put others around them. */
export const cuts: Rules = { Pad: pad, Slice: slice }
