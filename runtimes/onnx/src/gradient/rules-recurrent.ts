import { directionsOf, part, type Recurrent, recurrentOf, rows, sizes, steps, stepsFirst } from '../build/recurrent.js'
import { floats, int64s, type Value } from '../build/value.js'
import type { GradientContext, GradientRule } from './context.js'
import { type Back, gruBack, gruLinearBack, lstmBack, rnnBack, type Slopes, shifted } from './recurrent.js'

/** By X, W, R, B, and the initial states of each direction; what is not needed is not computed. */
const recurrent: GradientRule = (c) => {
  const kind = recurrentOf(c.node.opType, c.info)
  const all = backs(c, kind)
  const slopes = all.map((one) => slopesOf(c, kind, one))
  const each = (work: (slope: Slopes, one: Back) => Value): Value[] =>
    slopes.map((slope, at) => work(slope, all[at] as Back))
  const when = (place: number, make: () => Value): Value | undefined =>
    c.needs(place) ? c.reshape(make(), c.in(place)) : undefined
  const sum = (value: Value): Value => c.op('ReduceSum', [value, c.int64s([0])], { keepdims: 0n })
  return [
    when(0, () =>
      byInput(
        c,
        kind,
        each((slope, { w, x }) => byRow(c, slope.dx(), w(), x())),
      ),
    ),
    when(1, () =>
      stacked(
        c,
        each((slope, { x }) => c.op('Gemm', [slope.dx(), rows(c.g, x())], { transA: 1n })),
      ),
    ),
    when(2, () =>
      stacked(
        c,
        each((slope) => slope.r()),
      ),
    ),
    when(3, () =>
      stacked(
        c,
        each((slope) => c.op('Concat', [sum(slope.dx()), sum(slope.dr())], { axis: 0n })),
      ),
    ),
    undefined,
    when(5, () =>
      byState(
        c,
        kind,
        each((slope) => slope.dh0),
      ),
    ),
    when(6, () =>
      byState(
        c,
        kind,
        each((slope) => slope.dc0 as Value),
      ),
    ),
  ]
}

function slopesOf({ g }: GradientContext, { operator, linearBeforeReset }: Recurrent, one: Back): Slopes {
  if (operator === 'LSTM') return lstmBack(g, one)
  if (operator === 'RNN') return rnnBack(g, one)
  return linearBeforeReset ? gruLinearBack(g, one) : gruBack(g, one)
}

/** Each direction's way back, with the steps first. */
function backs(c: GradientContext, kind: Recurrent): Back[] {
  const { g } = c
  const count = kind.reverse.length
  const x = (): Value => stepsFirst(g, kind, c.in(0))
  const [dAll, dLast, dCell] = c.gradients
  const sequence = (value: Value, at: number): Value =>
    part(g, kind.batchFirst ? c.op('Transpose', [value], { perm: [1n, 2n, 0n, 3n] }) : value, 1, at, count)
  const last = (value: Value | undefined, at: number): Value =>
    value === undefined
      ? c.op('Expand', [g.constant(floats(like.dtype, [0])), sizes(g, [like.shape[1] ?? 1, kind.hidden], like)])
      : part(g, stepsFirst(g, kind, value), 0, at, count)
  // Of the shape of each direction's part, and of one that is needed anyway.
  const like = sequence(c.y, 0)
  return directionsOf(g, c.info, kind, like).map((direction) => {
    const y = sequence(c.y, direction.at)
    return {
      ...direction,
      x,
      y,
      before: () => shifted(g, y, direction.h0(), direction.reverse),
      dy: dAll && sequence(dAll, direction.at),
      dh: last(dLast, direction.at),
      dc: () => last(dCell, direction.at),
    }
  })
}

/** By each row of the input, by steps again. */
const byRow = ({ g }: GradientContext, dx: Value, w: Value, x: Value): Value =>
  steps(g, g.op('Gemm', [dx, w]), x, x.shape[2] ?? 1)

/** The directions' gradients one after the other along a new first axis. */
const stacked = (c: GradientContext, values: readonly Value[]): Value => {
  const each = values.map((value) => c.op('Unsqueeze', [value, c.g.constant(int64s([0]))]))
  return each.length === 1 ? (each[0] as Value) : c.op('Concat', each, { axis: 0n })
}

const byState = (c: GradientContext, kind: Recurrent, values: readonly Value[]): Value =>
  stepsFirst(c.g, kind, stacked(c, values))

const byInput = (c: GradientContext, kind: Recurrent, values: readonly Value[]): Value =>
  stepsFirst(
    c.g,
    kind,
    values.reduce((total, value) => c.op('Add', [total, value])),
  )

export const recurrentRules: Readonly<Record<string, GradientRule>> = {
  GRU: recurrent,
  LSTM: recurrent,
  RNN: recurrent,
}
