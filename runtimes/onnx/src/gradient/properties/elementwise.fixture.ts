import fc from 'fast-check'
import { activationCases } from '../cases/activation.fixture.js'
import { elementwiseCases } from '../cases/elementwise.fixture.js'
import type { Case } from '../gradient.fixture.js'
import { broadcasting, maybeEmpty, shape } from './shapes.fixture.js'

export type Properties = Readonly<Record<string, fc.Arbitrary<Case>>>

/** The forms and domains that the table of cases has, on other shapes. */
const on = (cases: readonly Case[] | undefined, shapes: (count: number) => fc.Arbitrary<readonly number[][]>) =>
  fc
    .constantFrom(...(cases ?? []))
    .chain((item) => shapes(item.shapes.length).map((sizes): Case => ({ ...item, shapes: sizes })))

const any = (count: number): fc.Arbitrary<number[][]> =>
  count === 1 ? maybeEmpty().map((sizes) => [sizes]) : broadcasting(count)

const elementwise: Properties = Object.fromEntries(
  Object.entries({ ...elementwiseCases, ...activationCases }).map(([operator, cases]) => [operator, on(cases, any)]),
)

export const elementwiseProperties: Properties = {
  ...elementwise,
  // Bounds are scalars; the input is of any shape.
  Clip: on(elementwiseCases['Clip'], (count) =>
    maybeEmpty().map((sizes) => [sizes, ...Array.from({ length: count - 1 }, () => [])]),
  ),
  LogSoftmax: on(activationCases['LogSoftmax'], () => shape(1).map((sizes) => [sizes])),
  Softmax: on(activationCases['Softmax'], () => shape(1).map((sizes) => [sizes])),
  PRelu: on(activationCases['PRelu'], () =>
    shape(1).chain((sizes) =>
      fc
        .integer({ min: 0, max: sizes.length })
        .map((from) => [sizes, sizes.slice(from).map((length, axis) => (axis % 2 === 0 ? length : 1))]),
    ),
  ),
}
