import fc from 'fast-check'
import { int64s } from '../../build/value.js'
import { away } from '../cases/common.fixture.js'
import type { Case } from '../gradient.fixture.js'
import type { Properties } from './elementwise.fixture.js'
import { made } from './layout.fixture.js'
import { axesOf, axisOf, product, shape, size } from './shapes.fixture.js'

const keep = fc.constantFrom(0n, 1n)

/** Axes as an attribute, from either end, or all. */
const reduce = (opType: string, domain?: Case['domain']): fc.Arbitrary<Case> =>
  shape(1).chain((sizes) =>
    fc.tuple(fc.option(axesOf(sizes.length)), keep).map(
      ([axes, keepdims]): Case => ({
        ...made(opType, sizes, [], { keepdims, ...(axes && { axes: axes.map(BigInt) }) }),
        domain,
      }),
    ),
  )

const reduceSum = shape(1).chain((sizes) =>
  fc.tuple(axesOf(sizes.length), keep).map(([axes, keepdims]) => made('ReduceSum', sizes, [axes], { keepdims })),
)

const flag = fc.constantFrom(0n, 1n)

const running = shape(1).chain((sizes) =>
  fc
    .tuple(axisOf(sizes.length), flag, flag)
    .map(([axis, exclusive, reverse]) => made('CumSum', sizes, [[axis]], { exclusive, reverse })),
)

const gather = shape(1, 3).chain((sizes) =>
  fc.tuple(axisOf(sizes.length), shape(0, 2)).chain(([axis, of]) =>
    fc.array(axisOf(sizes.at(axis) ?? 1), { minLength: product(of), maxLength: product(of) }).map(
      (indices): Case => ({
        shapes: [sizes],
        build: (g, [x]) => g.op('Gather', [x, g.constant({ ...int64s(indices), shape: of })], { axis: BigInt(axis) }),
      }),
    ),
  ),
)

const gatherElements = shape(1, 3).chain((sizes) =>
  fc.tuple(axisOf(sizes.length), size).chain(([axis, length]) => {
    const of = sizes.with(axis, length)
    return fc.array(axisOf(sizes.at(axis) ?? 1), { minLength: product(of), maxLength: product(of) }).map(
      (indices): Case => ({
        shapes: [sizes],
        build: (g, [x]) =>
          g.op('GatherElements', [x, g.constant({ ...int64s(indices), shape: of })], { axis: BigInt(axis) }),
      }),
    )
  }),
)

/** Labels, int32 or int64, some of them ignored; weights of the classes or none. */
const crossEntropy = fc
  .tuple(
    shape(1, 2),
    fc.integer({ min: 1, max: 4 }),
    fc.constantFrom('mean', 'sum', 'none'),
    fc.boolean(),
    fc.boolean(),
  )
  .chain(([of, classes, reduction, weighed, ignores]) =>
    fc.array(fc.nat(classes - 1), { minLength: product(of), maxLength: product(of) }).map((labels): Case => {
      const marked = ignores ? labels.map((label, at) => (at === 1 ? -100 : label)) : labels
      const attributes = { reduction, ...(ignores && { ignore_index: -100n }) }
      return {
        shapes: [of.toSpliced(1, 0, classes), ...(weighed ? [[classes]] : [])],
        by: [0],
        domain: (value, input) => (input === 1 ? Math.abs(value) + 0.2 : value * 3),
        build: (g, [x, weights]) =>
          g.op('SoftmaxCrossEntropyLoss', [x, g.constant({ ...int64s(marked), shape: of }), weights], attributes),
      }
    }),
  )

const matMul = fc.tuple(size, size, size, shape(0, 2)).chain(([rows, inner, columns, batch]) =>
  fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()).map(
    ([vector, same, ones]): Case => ({
      shapes: [
        vector ? [inner] : [...batch, rows, inner],
        [...(same ? batch.map((length) => (ones ? 1 : length)) : []), inner, columns],
      ],
      build: (g, inputs) => g.op('MatMul', inputs),
    }),
  ),
)

const gemm = fc
  .tuple(
    size,
    size,
    size,
    flag,
    flag,
    fc.constantFrom(undefined, 0, 1, 2, 3),
    fc.constantFrom(1, -0.5),
    fc.constantFrom(1, 2),
  )
  .map(([m, k, n, transA, transB, bias, alpha, beta]): Case => {
    const third = bias === undefined ? [] : [[[], [n], [m, 1], [m, n]][bias] as number[]]
    return {
      shapes: [transA === 1n ? [k, m] : [m, k], transB === 1n ? [n, k] : [k, n], ...third],
      build: (g, inputs) => g.op('Gemm', inputs, { transA, transB, alpha, beta }),
    }
  })

export const reduceProperties: Properties = {
  CumSum: running,
  Gather: gather,
  GatherElements: gatherElements,
  Gemm: gemm,
  MatMul: matMul,
  ReduceL1: reduce('ReduceL1', away),
  ReduceL2: reduce('ReduceL2', away),
  ReduceLogSumExp: reduce('ReduceLogSumExp'),
  ReduceMax: reduce('ReduceMax'),
  ReduceMean: reduce('ReduceMean'),
  ReduceMin: reduce('ReduceMin'),
  ReduceSum: reduceSum,
  ReduceSumSquare: reduce('ReduceSumSquare'),
  SoftmaxCrossEntropyLoss: crossEntropy,
}
