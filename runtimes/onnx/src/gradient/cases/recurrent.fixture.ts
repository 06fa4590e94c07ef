import type { GraphBuilder } from '../../build/graph-builder.js'
import { GATES } from '../../build/recurrent.js'
import { int64s, type Value } from '../../build/value.js'
import type { Attributes } from '../../format/node.js'
import type { Case } from '../gradient.fixture.js'
import type { Cases } from './common.fixture.js'

export interface RecurrentForm {
  readonly operator: string
  readonly steps: number
  readonly batch: number
  readonly features: number
  readonly hidden: number
  readonly directions: number
  readonly batchFirst: boolean
  readonly bias: boolean
  readonly initial: boolean
  /** Which outputs count: all of Y, the last state, the last cell. */
  readonly counts: readonly number[]
  readonly attributes: Attributes
}

/** A recurrent node by X, W, R, and where it has them B and the initial states; its outputs as one vector. */
export function recurrentCase(form: RecurrentForm): Case {
  const { operator, steps, batch, features, hidden, directions, batchFirst, bias, initial } = form
  const rows = (GATES[operator] ?? 1) * hidden
  const state = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden]
  const cells = operator === 'LSTM' ? 2 : 1
  return {
    shapes: [
      batchFirst ? [batch, steps, features] : [steps, batch, features],
      [directions, rows, features],
      [directions, rows, hidden],
      ...(bias ? [[directions, 2 * rows]] : []),
      ...(initial ? Array.from({ length: cells }, () => state) : []),
    ],
    domain: (value) => value,
    build: (g, inputs) => {
      const [x, w, r, ...rest] = inputs
      const b = bias ? rest[0] : undefined
      const states = initial ? rest.slice(bias ? 1 : 0) : []
      const attributes = { ...form.attributes, hidden_size: BigInt(hidden), ...(batchFirst && { layout: 1n }) }
      const all = g.ops(operator, [x, w, r, b, undefined, ...states], attributes, { outputs: cells + 1 })
      return joined(
        g,
        form.counts.map((place) => all[place] as Value),
      )
    },
  }
}

const joined = (g: GraphBuilder, values: readonly Value[]): Value =>
  g.op(
    'Concat',
    values.map((value) => g.op('Reshape', [value, g.constant(int64s([-1]))])),
    { axis: 0n },
  )

const small = { steps: 3, batch: 2, features: 2, hidden: 2, batchFirst: false }
const form = (operator: string, change: Partial<RecurrentForm> = {}): Case =>
  recurrentCase({
    operator,
    ...small,
    directions: 1,
    bias: true,
    initial: true,
    counts: operator === 'LSTM' ? [0, 1, 2] : [0, 1],
    attributes: {},
    ...change,
  })

const einsum = (equation: string, ...shapes: readonly (readonly number[])[]): Case => ({
  shapes,
  build: (g, inputs) => g.op('Einsum', inputs, { equation }),
})

/** Gates max(0, min(1, alpha x + 0.5)), cut off for few of the values or for most. */
const hard = (operator: string, alpha: number, rest: Partial<RecurrentForm> = {}): Case => {
  const names = ['HardSigmoid', 'Tanh', ...(operator === 'LSTM' ? ['Tanh'] : [])]
  const count = rest.directions ?? 1
  return form(operator, {
    ...rest,
    attributes: {
      ...rest.attributes,
      activations: Array.from({ length: count }, () => names).flat(),
      activation_alpha: Array.from({ length: count }, (_, at) => alpha * (at + 1)),
      activation_beta: Array.from({ length: count }, () => 0.5),
    },
  })
}
const bidirectional = { directions: 2, attributes: { direction: 'bidirectional' } }

export const recurrentCases: Cases = {
  Einsum: [
    einsum('bqhd,bkhd->bhqk', [2, 3, 2, 2], [2, 2, 2, 2]),
    einsum('bhqk,bkhd->bqhd', [2, 2, 3, 2], [2, 2, 2, 2]),
    einsum('btd,dhe->bthe', [2, 3, 2], [2, 2, 2]),
    einsum('...ij,...jk->...ik', [2, 2, 3], [2, 3, 2]),
    einsum('...ij,...jk->...ik', [1, 2, 3], [2, 3, 2]),
    einsum('...i,i', [2, 3], [3]),
    einsum('ij,jk->k', [2, 3], [3, 2]),
    einsum('ij->j', [2, 3]),
    einsum('ij->', [2, 3]),
    einsum('ij,k->ik', [2, 3], [2]),
    einsum('ij->ji', [2, 3]),
  ],
  GRU: [
    form('GRU', { attributes: { linear_before_reset: 1n } }),
    form('GRU', { attributes: { linear_before_reset: 0n } }),
    hard('GRU', 0.2, { attributes: { linear_before_reset: 1n } }),
    hard('GRU', 0.5, { ...bidirectional, bias: false, initial: false }),
  ],
  LSTM: [
    form('LSTM'),
    form('LSTM', { counts: [1], bias: false, initial: false }),
    hard('LSTM', 0.5, { ...bidirectional, bias: false, initial: false }),
  ],
  RNN: [form('RNN'), form('RNN', bidirectional)],
}
