import type { GraphBuilder } from '../../build/graph-builder.js'
import { floats, type Value } from '../../build/value.js'
import type { Attributes } from '../../format/node.js'
import type { Case } from '../gradient.fixture.js'
import { away, type Cases, unary } from './common.fixture.js'

/** Formulas in operators that the engine has in float64, for those that it has in float32 only. */
export class Formula {
  constructor(private readonly g: GraphBuilder) {}

  number = (value: number): Value => this.g.constant(floats('float64', [value]))
  op = (opType: string, ...inputs: readonly (Value | number)[]): Value =>
    this.g.op(
      opType,
      inputs.map((input) => (typeof input === 'number' ? this.number(input) : input)),
    )
  /** α (eˣ - 1) for x ≤ 0, else x, times γ. */
  elu = (x: Value, alpha: number, gamma: number): Value => {
    const below = this.op('Mul', this.op('Sub', this.op('Exp', x), 1), alpha)
    return this.op('Mul', this.op('Where', this.op('Greater', x, 0), x, below), gamma)
  }
  hardSigmoid = (x: Value, alpha: number, beta: number): Value =>
    this.op('Clip', this.op('Add', this.op('Mul', x, alpha), beta), 0, 1)
  /** The series 2/√π Σ (-1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)): 40 terms are exact to float64 for |x| ≤ 2.5. */
  erf = (x: Value): Value => {
    const minusSquare = this.op('Neg', this.op('Mul', x, x))
    let [power, sum] = [x, x]
    for (let n = 1; n < 40; n++) {
      power = this.op('Div', this.op('Mul', power, minusSquare), n)
      sum = this.op('Add', sum, this.op('Div', power, 2 * n + 1))
    }
    return this.op('Mul', sum, 2 / Math.sqrt(Math.PI))
  }
}

const formula = (
  opType: string,
  reference: (f: Formula, x: Value) => Value,
  domain?: Case['domain'],
  attributes: Attributes = {},
): Case[] =>
  unary(opType, domain, attributes).map((item) => ({
    ...item,
    reference: (g, [x]) => reference(new Formula(g), x as Value),
  }))

/** Not near the places where hard functions bend, which are at ±bend. */
const awayFrom =
  (bend: number) =>
  (value: number): number =>
    Math.abs(Math.abs(value * 2 * bend) - bend) < 0.05 * bend ? 0.5 * bend : value * 2 * bend

const scalar = (g: GraphBuilder, value: number): Value => g.constant(floats('float64', [value]))

const truth = (g: GraphBuilder, value: boolean): Value =>
  g.constant({ dtype: 'bool', shape: [], data: Uint8Array.of(Number(value)) })

export const activationCases: Cases = {
  Dropout: [
    { shapes: [[2, 3]], build: (g, [x]) => g.op('Dropout', [x as Value]) },
    { shapes: [[2, 3]], build: (g, [x]) => g.op('Dropout', [x as Value, scalar(g, 0.25), truth(g, false)]) },
  ],
  Elu: [
    ...formula('Elu', (f, x) => f.elu(x, 1, 1), away),
    ...formula('Elu', (f, x) => f.elu(x, 0.5, 1), away, { alpha: 0.5 }),
  ],
  Erf: formula('Erf', (f, x) => f.erf(x)),
  Gelu: [
    ...formula('Gelu', (f, x) => f.op('Mul', f.op('Mul', x, 0.5), f.op('Add', f.erf(f.op('Mul', x, Math.SQRT1_2)), 1))),
    ...unary('Gelu', undefined, { approximate: 'tanh' }),
  ],
  HardSigmoid: [
    ...formula('HardSigmoid', (f, x) => f.hardSigmoid(x, 0.2, 0.5), awayFrom(2.5)),
    ...formula('HardSigmoid', (f, x) => f.hardSigmoid(x, 0.5, 0.5), awayFrom(1), { alpha: 0.5, beta: 0.5 }),
  ],
  HardSwish: formula('HardSwish', (f, x) => f.op('Mul', x, f.hardSigmoid(x, 1 / 6, 0.5)), awayFrom(3)),
  LeakyRelu: [
    ...formula('LeakyRelu', (f, x) => f.op('Where', f.op('Greater', x, 0), x, f.op('Mul', x, 0.01)), away),
    ...formula('LeakyRelu', (f, x) => f.op('Where', f.op('Greater', x, 0), x, f.op('Mul', x, 0.3)), away, {
      alpha: 0.3,
    }),
  ],
  LogSoftmax: [
    ...unary('LogSoftmax').slice(1, 2),
    ...unary('LogSoftmax', undefined, { axis: -1n }).slice(1),
    ...unary('LogSoftmax', undefined, { axis: 0n }).slice(1),
  ],
  PRelu: [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
    [
      [2, 3, 2],
      [3, 1],
    ],
    [[2], []],
  ].map((shapes) => ({
    shapes,
    domain: (value, input) => (input === 0 ? away(value) : value),
    build: (g, inputs) => g.op('PRelu', inputs),
  })),
  Relu: unary('Relu', away),
  Selu: [
    ...formula('Selu', (f, x) => f.elu(x, 1.6732632423543772, 1.0507009873554805), away),
    ...formula('Selu', (f, x) => f.elu(x, 1.5, 2), away, { alpha: 1.5, gamma: 2 }),
  ],
  Sigmoid: unary('Sigmoid'),
  Softmax: [...unary('Softmax').slice(1), ...unary('Softmax', undefined, { axis: 0n }).slice(1)],
  Softplus: formula('Softplus', (f, x) => f.op('Log', f.op('Add', f.op('Exp', x), 1))),
  Softsign: formula('Softsign', (f, x) => f.op('Div', x, f.op('Add', f.op('Abs', x), 1)), away),
  Tanh: unary('Tanh'),
}
