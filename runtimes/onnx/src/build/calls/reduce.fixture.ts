import { type Calls, ints } from './common.fixture.js'

export const reduceCalls: Calls = {
  ReduceSum: (g, x) => g.op('ReduceSum', [x, ints(g, [-1])], { keepdims: 0n }),
  ReduceMean: (g, x) => g.op('ReduceMean', [x], { axes: [0n], keepdims: 1n }),
  ReduceMax: (g, x) => g.op('ReduceMax', [x], { keepdims: 0n }),
  ReduceMin: (g, x) => g.op('ReduceMin', [x], { axes: [0n, 1n] }),
  ...Object.fromEntries(
    'ReduceL1 ReduceL2 ReduceLogSumExp ReduceProd ReduceSumSquare'
      .split(' ')
      .map((op): [string, Calls[string]] => [op, (g, x) => g.op(op, [x], { axes: [-1n], keepdims: 0n })]),
  ),
  CumSum: (g, x) => g.op('CumSum', [x, ints(g, [1])]),
  SoftmaxCrossEntropyLoss: (g, x) => {
    const labels = g.op('ArgMax', [x], { axis: 1n, keepdims: 0n })
    return g.ops('SoftmaxCrossEntropyLoss', [x, labels], { reduction: 'none' })
  },
  TopK: (g, x) => g.ops('TopK', [x, ints(g, [2])]),
  ArgMax: (g, x) => g.op('ArgMax', [x], { axis: 1n, keepdims: 0n }),
  ArgMin: (g, x) => g.op('ArgMin', [x], { axis: -1n }),
}
