import { floats } from '../value.js'
import type { Calls } from './common.fixture.js'

const UNARY = [
  'Abs',
  'Exp',
  'Identity',
  'Log',
  'LogSoftmax',
  'Neg',
  'Reciprocal',
  'Relu',
  'Sigmoid',
  'Sign',
  'Softmax',
  'Sqrt',
  'Tanh',
]
const BINARY = ['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual']

export const elementwiseCalls: Calls = {
  ...Object.fromEntries(UNARY.map((op): [string, Calls[string]] => [op, (g, x) => g.op(op, [x])])),
  ...Object.fromEntries(BINARY.map((op): [string, Calls[string]] => [op, (g, x, y) => g.op(op, [x, y])])),
  And: (g, x, y) => g.op('And', [g.op('Less', [x, y]), g.op('Greater', [x, y])]),
  Or: (g, x, y) => g.op('Or', [g.op('Less', [x, y]), g.op('Greater', [x, y])]),
  Not: (g, x, y) => g.op('Not', [g.op('Less', [x, y])]),
  Cast: (g, x) => g.op('Cast', [x], { to: 11n }),
  Where: (g, x, y) => g.op('Where', [g.op('Less', [x, y]), x, y]),
  MatMul: (g, x) => g.op('MatMul', [x, g.constant(floats('float32', [1, 2, 3], [3, 1]))]),
  Gemm: (g, x) => g.op('Gemm', [x, g.constant(floats('float32', [1, 2, 3, 4, 5, 6], [2, 3]))], { transB: 1n }),
}
