import type { GraphBuilder } from '../../build/graph-builder.js'
import { floats, type Value } from '../../build/value.js'
import type { Case } from '../gradient.fixture.js'
import { away, binary, type Cases, positive, unary } from './common.fixture.js'

const power = (exponent: number): Case => ({
  shapes: [[2, 3]],
  domain: exponent === 2 || exponent === 3 ? undefined : positive,
  build: (g, [x]) => g.op('Pow', [x as Value, g.constant(floats('float64', [exponent]))]),
})

const scalar = (g: GraphBuilder, value: number): Value => g.constant(floats('float64', [value]))

/** One to four inputs. Mean has no float64 in the engine: there it is compared with a sum over the count. */
const several = (opType: string, mean = false): Case[] =>
  [[[2, 3]], [[2, 3], [3]], [[], [2, 1], [1, 3]], [[2, 2], [2, 2], [2], [1, 1]]].map((shapes) => ({
    shapes,
    build: (g, inputs) => g.op(opType, inputs),
    ...(mean && {
      reference: (g: GraphBuilder, inputs: readonly Value[]) =>
        g.op('Div', [g.op('Sum', inputs), scalar(g, inputs.length)]),
    }),
  }))

export const elementwiseCases: Cases = {
  Abs: unary('Abs', away),
  Add: binary('Add'),
  Cast: [{ shapes: [[2, 3]], build: (g, [x]) => g.op('Cast', [g.op('Cast', [x as Value], { to: 11n })], { to: 11n }) }],
  Clip: [
    ...unary('Clip'),
    ...[[-0.7, 0.9], [undefined, 0.3], [-0.3]].map(
      (bounds): Case => ({
        shapes: [[2, 3]],
        build: (g, [x]) =>
          g.op('Clip', [x, ...bounds.map((value) => (value === undefined ? undefined : scalar(g, value)))]),
      }),
    ),
    {
      shapes: [[3, 4], [], []],
      domain: (value, input) => (input === 0 ? value * 3 : input === 1 ? -positive(value) : positive(value)),
      build: (g, inputs) => g.op('Clip', inputs),
    },
  ],
  Cos: unary('Cos'),
  Div: binary('Div', (value, input) => (input === 1 ? away(value) : value)),
  Exp: unary('Exp'),
  Identity: unary('Identity'),
  Log: unary('Log', positive),
  Max: several('Max'),
  Mean: several('Mean', true),
  Min: several('Min'),
  Mul: binary('Mul'),
  Neg: unary('Neg'),
  Pow: [
    ...binary('Pow', (value, input) => (input === 0 ? positive(value) : value * 2)),
    ...[0, 1, 2, 3, 0.5, -1.5].map(power),
  ],
  Reciprocal: unary('Reciprocal', away),
  Sin: unary('Sin'),
  Sqrt: unary('Sqrt', positive),
  Sub: binary('Sub'),
  Sum: several('Sum'),
  Where: [
    [
      [2, 3],
      [2, 3],
      [2, 3],
    ],
    [[2, 1], [3], []],
    [[], [2, 3], [1, 3]],
    [[2, 3], [], [1]],
  ].map((shapes) => ({
    shapes,
    by: [1, 2],
    domain: (value: number, input: number) => (input === 0 ? away(value) : value),
    build: (g, [c, x, y]) => g.op('Where', [g.op('Greater', [c, scalar(g, 0)]), x, y]),
  })),
}
