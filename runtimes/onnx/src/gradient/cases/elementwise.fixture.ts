import { floats, type Value } from '../../build/value.js'
import type { Case } from '../gradient.fixture.js'
import { away, binary, type Cases, positive, unary } from './common.fixture.js'

const power = (exponent: number): Case => ({
  shapes: [[2, 3]],
  domain: exponent === 2 || exponent === 3 ? undefined : positive,
  build: (g, [x]) => g.op('Pow', [x as Value, g.constant(floats('float64', [exponent]))]),
})

export const elementwiseCases: Cases = {
  Abs: unary('Abs', away),
  Add: binary('Add'),
  Cast: [{ shapes: [[2, 3]], build: (g, [x]) => g.op('Cast', [g.op('Cast', [x as Value], { to: 11n })], { to: 11n }) }],
  Div: binary('Div', (value, input) => (input === 1 ? away(value) : value)),
  Exp: unary('Exp'),
  Identity: unary('Identity'),
  Log: unary('Log', positive),
  Mul: binary('Mul'),
  Neg: unary('Neg'),
  Pow: [
    ...binary('Pow', (value, input) => (input === 0 ? positive(value) : value * 2)),
    ...[0, 1, 2, 3, 0.5, -1.5].map(power),
  ],
  Reciprocal: unary('Reciprocal', away),
  Sqrt: unary('Sqrt', positive),
  Sub: binary('Sub'),
}
