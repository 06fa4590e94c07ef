import type { GraphBuilder } from '../graph-builder.js'
import { scan } from '../scan.js'
import { floats, type Value } from '../value.js'
import { type Calls, ints } from './common.fixture.js'

const weights = (g: GraphBuilder, ...shape: readonly number[]): Value =>
  g.constant(
    floats(
      'float32',
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => Math.sin(at)),
      shape,
    ),
  )

/** x as one batch of two features, three steps; two directions of two units. */
const both =
  (operator: string, gates: number, outputs: number): Calls[string] =>
  (g, x) =>
    g.ops(
      operator,
      [
        g.op('Unsqueeze', [g.op('Transpose', [x]), ints(g, [2])]),
        weights(g, 2, gates * 2, 1),
        weights(g, 2, gates * 2, 2),
        weights(g, 2, gates * 4),
      ],
      { hidden_size: 2n, direction: 'bidirectional' },
      { outputs },
    )

export const recurrentCalls: Calls = {
  Einsum: (g, x, y) => [
    g.op('Einsum', [x, x], { equation: 'bi,bj->bij' }),
    g.op('Einsum', [x, y], { equation: '...i,i' }),
    g.op('Einsum', [x], { equation: 'ij->' }),
  ],
  GRU: both('GRU', 3, 2),
  LSTM: both('LSTM', 4, 3),
  RNN: both('RNN', 1, 2),
  Scan: (g, x, y) => {
    const { states, sequences } = scan(
      g,
      { kept: [], states: [y], sequences: [x], reverse: true },
      (b, _, [sum], [row]) => {
        const next = b.op('Add', [sum, row])
        return { states: [next], gives: [next] }
      },
    )
    return [...states, ...sequences]
  },
}
