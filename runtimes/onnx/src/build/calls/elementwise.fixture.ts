import { floats } from '../value.js'
import type { Calls } from './common.fixture.js'

const UNARY =
  'Abs Ceil Clip Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log LogSoftmax Neg ' +
  'Reciprocal Relu Round Selu Sigmoid Sign Sin Softmax Softplus Softsign Sqrt Tanh'
const BINARY = 'Add Sub Mul Div Pow Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Sum PRelu'
const LOGIC = 'And Or Xor'

export const elementwiseCalls: Calls = {
  ...Object.fromEntries(UNARY.split(' ').map((op): [string, Calls[string]] => [op, (g, x) => g.op(op, [x])])),
  ...Object.fromEntries(BINARY.split(' ').map((op): [string, Calls[string]] => [op, (g, x, y) => g.op(op, [x, y])])),
  ...Object.fromEntries(
    LOGIC.split(' ').map((op): [string, Calls[string]] => [
      op,
      (g, x, y) => g.op(op, [g.op('Less', [x, y]), g.op('Greater', [x, y])]),
    ]),
  ),
  Not: (g, x, y) => g.op('Not', [g.op('Less', [x, y])]),
  Cast: (g, x) => g.op('Cast', [x], { to: 11n }),
  Dropout: (g, x) =>
    g.ops('Dropout', [
      x,
      g.constant(floats('float32', [0.5])),
      g.constant({ dtype: 'bool', shape: [], data: Uint8Array.of(1) }),
    ]),
  Mod: (g, x, y) => g.op('Mod', [x, y], { fmod: 1n }),
  Where: (g, x, y) => g.op('Where', [g.op('Less', [x, y]), x, y]),
  MatMul: (g, x) => g.op('MatMul', [x, g.constant(floats('float32', [1, 2, 3], [3, 1]))]),
  Gemm: (g, x) => g.op('Gemm', [x, g.constant(floats('float32', [1, 2, 3, 4, 5, 6], [2, 3]))], { transB: 1n }),
}
