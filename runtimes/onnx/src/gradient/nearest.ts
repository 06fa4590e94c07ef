import { GRADIENTS } from './rules.js'

/** For operators without a gradient: what to write instead, in operators that have one. */
const NEAREST: Readonly<Record<string, string>> = {
  ArgMax: 'Softmax: a class index has no gradient',
  Clip: 'Relu(x - min) + min, and the same mirrored for max',
  Concat: 'MatMul of each part with its own weights, and Add',
  Elu: 'Relu(x) + a (Exp(-Relu(-x)) - 1)',
  Gelu: '0.5 x (1 + Tanh(0.79788456 (x + 0.044715 x³))) by Mul, Add, Pow and Tanh',
  HardSigmoid: 'Sigmoid',
  LeakyRelu: 'Relu(x) - a Relu(-x)',
  Max: 'a + Relu(b - a)',
  Mean: 'Add and Mul by 1/n',
  Min: 'a - Relu(a - b)',
  ReduceMax: 'Log(ReduceSum(Exp(x)))',
  Softplus: 'Log(1 + Exp(x)) by Exp, Add and Log',
  Sum: 'Add, two at a time',
}

/** The nearest form of an operator that can be differentiated, for an error message. */
export function nearestSupported(operator: string): string {
  return NEAREST[operator] ?? `one of ${Object.keys(GRADIENTS).sort().join(', ')}`
}
