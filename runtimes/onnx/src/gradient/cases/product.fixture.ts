import type { Attributes } from '../../format/node.js'
import type { Case } from '../gradient.fixture.js'
import type { Cases } from './common.fixture.js'

const matMul = (...shapes: readonly (readonly number[])[]): Case => ({
  shapes,
  build: (g, inputs) => g.op('MatMul', inputs),
})

const gemm = (shapes: readonly (readonly number[])[], attributes: Attributes = {}): Case => ({
  shapes,
  build: (g, inputs) => g.op('Gemm', inputs, attributes),
})

export const productCases: Cases = {
  Gemm: [
    gemm([
      [2, 3],
      [3, 4],
    ]),
    gemm([[3, 2], [3, 4], [4]], { transA: 1n, alpha: 0.5, beta: 2 }),
    gemm(
      [
        [2, 3],
        [4, 3],
        [2, 1],
      ],
      { transB: 1n, beta: 0.25 },
    ),
    gemm([[3, 2], [4, 3], []], { transA: 1n, transB: 1n, alpha: -1 }),
    gemm([
      [1, 3],
      [3, 1],
      [1, 1],
    ]),
  ],
  MatMul: [
    matMul([2, 3], [3, 4]),
    matMul([1, 3], [3, 1]),
    matMul([3], [3, 2]),
    matMul([2, 3], [3]),
    matMul([3], [3]),
    matMul([2, 2, 3], [3, 2]),
    matMul([2, 3], [2, 3, 2]),
    matMul([2, 1, 2, 3], [3, 3, 2]),
    matMul([3], [2, 3, 2]),
  ],
}
