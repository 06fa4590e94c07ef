import fc from 'fast-check'
import type { Attributes } from '../../format/node.js'
import { recurrentCase } from '../cases/recurrent.fixture.js'
import type { Case } from '../gradient.fixture.js'
import type { Properties } from './elementwise.fixture.js'

const few = fc.integer({ min: 1, max: 3 })
const direction = fc.constantFrom('forward', 'reverse', 'bidirectional')

/** What an operator's attributes may be for a number of directions. */
type Extra = (directions: number) => fc.Arbitrary<Attributes>

const recurrent = (operator: string, outputs: number, extra: Extra): fc.Arbitrary<Case> =>
  direction.chain((way) => {
    const directions = way === 'bidirectional' ? 2 : 1
    return fc
      .record({
        steps: few,
        batch: few,
        features: few,
        hidden: few,
        batchFirst: fc.boolean(),
        bias: fc.boolean(),
        initial: fc.boolean(),
        counts: fc.subarray(
          Array.from({ length: outputs }, (_, place) => place),
          { minLength: 1 },
        ),
        own: extra(directions),
      })
      .map(({ own, ...form }) =>
        recurrentCase({ ...form, operator, directions, attributes: { ...own, direction: way } }),
      )
  })

const none: Extra = () => fc.constant({})

/** Spelled out, in any case, as exporters write them. */
const spelled: Extra = (directions) =>
  fc.constant({ activations: Array.from({ length: directions }, () => ['Sigmoid', 'tanh', 'Tanh']).flat() })

/** Hard gates, with numbers of their own or ONNX's. */
const hard =
  (...rest: readonly string[]): Extra =>
  (directions) =>
    fc
      .record({
        alphas: fc.array(fc.constantFrom(0.2, 1 / 6, 1.5), { minLength: directions, maxLength: directions }),
        own: fc.boolean(),
      })
      .map(({ alphas, own }) => ({
        activations: Array.from({ length: directions }, () => ['HardSigmoid', ...rest]).flat(),
        ...(own && { activation_alpha: alphas, activation_beta: alphas.map(() => 0.5) }),
      }))

const either =
  (...extras: readonly Extra[]): Extra =>
  (directions) =>
    fc.oneof(...extras.map((extra) => extra(directions)))

const linear: Extra = () => fc.constantFrom(0n, 1n).map((value) => ({ linear_before_reset: value }))

const both =
  (first: Extra, second: Extra): Extra =>
  (directions) =>
    fc.tuple(first(directions), second(directions)).map(([a, b]) => ({ ...a, ...b }))

const named: Extra = (directions) =>
  fc
    .array(fc.constantFrom('Tanh', 'Sigmoid'), { minLength: directions, maxLength: directions })
    .map((activations) => ({ activations }))

const LETTERS = ['a', 'b', 'c', 'd', 'e']

/** One or two operands without an index twice in one; each index of the output comes from one of them. */
const einsum: fc.Arbitrary<Case> = fc
  .record({
    sizes: fc.array(few, { minLength: 5, maxLength: 5 }),
    terms: fc.array(fc.shuffledSubarray(LETTERS, { maxLength: 3 }), { minLength: 1, maxLength: 2 }),
    order: fc.shuffledSubarray(LETTERS, { minLength: 5 }),
    kept: fc.subarray(LETTERS),
  })
  .map(({ sizes, terms, order, kept }) => {
    const output = order.filter((index) => kept.includes(index) && terms.some((term) => term.includes(index)))
    const equation = `${terms.map((term) => term.join('')).join(',')}->${output.join('')}`
    return {
      shapes: terms.map((term) => term.map((index) => sizes[LETTERS.indexOf(index)] as number)),
      build: (g, inputs) => g.op('Einsum', inputs, { equation }),
    }
  })

export const recurrentProperties: Properties = {
  Einsum: einsum,
  GRU: recurrent('GRU', 2, both(linear, either(none, hard('Tanh')))),
  LSTM: recurrent('LSTM', 3, either(none, spelled, hard('Tanh', 'Tanh'))),
  RNN: recurrent('RNN', 2, either(none, named)),
}
