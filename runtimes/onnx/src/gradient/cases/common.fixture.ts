import type { Value } from '../../build/value.js'
import { int64s } from '../../build/value.js'
import type { Attributes } from '../../format/node.js'
import type { Case } from '../gradient.fixture.js'

/** The cases of a group, by operator; merged in index.fixture.ts. */
export type Cases = Readonly<Record<string, readonly Case[]>>

/** Not near 0, where |x| and its like have a kink. */
export const away = (value: number): number => (value < 0 ? value - 0.1 : value + 0.1)
export const positive = (value: number): number => Math.abs(value) + 0.2

/** One input, of rank 0 to 3. */
export const unary = (opType: string, domain?: Case['domain'], attributes: Attributes = {}): Case[] =>
  [[], [3], [2, 3], [1, 2, 2]].map((shape) => ({
    shapes: [shape],
    domain,
    build: (g, [x]) => g.op(opType, [x as Value], attributes),
  }))

/** Two inputs that broadcast against each other in every way. */
export const binary = (opType: string, domain?: Case['domain']): Case[] =>
  [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
    [[3], [2, 3]],
    [
      [2, 1],
      [1, 3],
    ],
    [[2, 3], []],
    [[], [2, 2]],
    [[1], [1, 1]],
    [
      [2, 1, 2],
      [3, 1],
    ],
  ].map((shapes) => ({ shapes, domain, build: (g, inputs) => g.op(opType, inputs) }))

/** One input and a vector of constant integers: a shape, axes, repeats. */
export const withInts = (
  opType: string,
  shape: readonly number[],
  ints: readonly number[],
  attributes: Attributes = {},
): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op(opType, [x as Value, g.constant(int64s(ints))], attributes),
})
