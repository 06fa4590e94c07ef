import { type Emission, inLast, type Rule, type Rules } from './emission.js'
import { type Attrs, attr, type Ref } from './graph-def.js'
import { type Form, Refused } from './values.js'

/** The axes that a node reduces: an attribute, or an input; all where none are named. */
function axesOf(e: Emission): number[] {
  const rank = e.in(0).shape.length
  const given = e.info.ints('axes') ?? e.numbers(1)
  const isAll = given === undefined || given.length === 0
  const axes = isAll ? Array.from({ length: rank }, (_, axis) => axis) : given.map((axis) => e.axis(axis))
  // Backends differ in what that is, or leave it open.
  if (axes.some((axis) => e.in(0).shape[axis] === 0)) throw new Refused('it is of no elements')
  return axes
}

/** Of an image with its channels last, what is left stays so, or is of the batch and the channels alone. */
const reducing =
  (compute: (e: Emission, x: Ref, axes: Ref, attrs: Attrs) => Ref): Rule =>
  (e): Form => {
    if (e.info.int('noop_with_empty_axes', 0) === 1 && e.maybe(1) === undefined) return { first: e.first(0) }
    const rank = e.in(0).shape.length
    const axes = axesOf(e)
    const isKept = e.info.int('keepdims', 1) === 1
    const attrs = { keep_dims: attr.bool(isKept) }
    const isSpatial = axes.length === rank - 2 && !axes.includes(0) && !axes.includes(1)
    if (!e.values.isLast(e.in(0)) || !(isKept || isSpatial))
      return { first: compute(e, e.first(0), e.ints(axes), attrs) }
    const ref = compute(e, e.last(0), e.ints(axes.map((axis) => inLast(axis, rank))), attrs)
    return isKept ? { last: ref } : { first: ref }
  }

const plain = (op: string): Rule => reducing((e, x, axes, attrs) => e.op(op, [x, axes], attrs))

/** log Σ exp x, moved by the largest x so that no power overflows. */
const logSumExp: Rule = reducing((e, x, axes, attrs) => {
  const most = e.op('Max', [x, axes], { keep_dims: attr.bool(true) })
  const sum = e.op('Sum', [e.op('Exp', [e.op('Sub', [x, most])]), axes], attrs)
  return e.op('AddV2', [e.op('Log', [sum]), e.op('Max', [x, axes], attrs)])
})

const indexOfExtreme =
  (op: string): Rule =>
  (e) => {
    const axis = e.axis(e.info.int('axis', 0))
    const isFromEnd = e.info.int('select_last_index', 0) === 1
    const x = isFromEnd ? e.op('ReverseV2', [e.first(0), e.ints([axis])]) : e.first(0)
    const found = e.op(op, [x, e.number(axis, 'int32')])
    const [size] = e.known(e.in(0).shape.slice(axis, axis + 1), 'the size of its axis')
    const index = isFromEnd ? e.op('Sub', [e.number((size as number) - 1, 'int32'), found]) : found
    return e.info.int('keepdims', 1) === 1 ? e.op('ExpandDims', [index, e.number(axis, 'int32')]) : index
  }

const cumulative: Rule = (e) => {
  const axis = e.axis(e.numbers(1)?.[0] ?? 0)
  const flag = (name: string) => attr.bool(e.info.int(name, 0) === 1)
  return e.op('Cumsum', [e.first(0), e.number(axis, 'int32')], {
    exclusive: flag('exclusive'),
    reverse: flag('reverse'),
  })
}

const topK: Rule = (e) => {
  const rank = e.in(0).shape.length
  if (e.axis(e.info.int('axis', -1)) !== rank - 1) throw new Refused('it is along another axis than the last one')
  const count = e.numbers(1)?.[0] ?? 1
  const isLargest = e.info.int('largest', 1) === 1
  const x = isLargest ? e.first(0) : e.op('Neg', [e.first(0)])
  const [values, indices] = e.split('TopKV2', 2, [x, e.number(count, 'int32')], { sorted: attr.bool(true) })
  return [isLargest ? (values as Ref) : e.op('Neg', [values as Ref]), indices as Ref]
}

/** Operators that take axes away, and those that go along one. */
export const reductions: Rules = {
  ArgMax: indexOfExtreme('ArgMax'),
  ArgMin: indexOfExtreme('ArgMin'),
  CumSum: cumulative,
  ReduceL1: reducing((e, x, axes, attrs) => e.op('Sum', [e.op('Abs', [x]), axes], attrs)),
  ReduceL2: reducing((e, x, axes, attrs) => e.op('Sqrt', [e.op('Sum', [e.op('Square', [x]), axes], attrs)])),
  ReduceLogSumExp: logSumExp,
  ReduceMax: plain('Max'),
  ReduceMean: plain('Mean'),
  ReduceMin: plain('Min'),
  ReduceProd: plain('Prod'),
  ReduceSum: plain('Sum'),
  ReduceSumSquare: reducing((e, x, axes, attrs) => e.op('Sum', [e.op('Square', [x]), axes], attrs)),
  TopK: topK,
}
