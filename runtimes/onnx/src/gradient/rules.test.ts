import { codeOf } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { floats, int64s, type Value } from '../build/value.js'
import type { Attributes } from '../format/node.js'
import { differentiate } from './differentiate.js'
import { buildCase, type Case, evaluate, makeInputs, runCase, seeded, slope } from './gradient.fixture.js'
import { GRADIENTS } from './rules.js'

const away = (value: number): number => (value < 0 ? value - 0.1 : value + 0.1)
const positive = (value: number): number => Math.abs(value) + 0.2

const unary = (opType: string, domain?: Case['domain'], attributes: Attributes = {}): Case[] =>
  [[], [3], [2, 3], [1, 2, 2]].map((shape) => ({
    shapes: [shape],
    domain,
    build: (g, [x]) => g.op(opType, [x as Value], attributes),
  }))

const binary = (opType: string, domain?: Case['domain']): Case[] =>
  [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
    [[3], [2, 3]],
    [
      [2, 1],
      [1, 3],
    ],
    [[2, 3], []],
    [[], [2, 2]],
    [[1], [1, 1]],
    [
      [2, 1, 2],
      [3, 1],
    ],
  ].map((shapes) => ({ shapes, domain, build: (g, inputs) => g.op(opType, inputs) }))

const matMul = (...shapes: readonly (readonly number[])[]): Case => ({
  shapes,
  build: (g, inputs) => g.op('MatMul', inputs),
})

const gemm = (shapes: readonly (readonly number[])[], attributes: Attributes = {}): Case => ({
  shapes,
  build: (g, inputs) => g.op('Gemm', inputs, attributes),
})

const reduceSum = (shape: readonly number[], axes: readonly number[] | undefined, keepdims: bigint): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op('ReduceSum', [x as Value, axes && g.constant(int64s(axes))], { keepdims }),
})

const reduceMean = (shape: readonly number[], axes: readonly number[] | undefined, keepdims: bigint): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op('ReduceMean', [x as Value], { keepdims, ...(axes ? { axes: axes.map(BigInt) } : {}) }),
})

const withInts = (opType: string, shape: readonly number[], ints: readonly number[]): Case => ({
  shapes: [shape],
  build: (g, [x]) => g.op(opType, [x as Value, g.constant(int64s(ints))]),
})

const power = (exponent: number): Case => ({
  shapes: [[2, 3]],
  domain: exponent === 2 || exponent === 3 ? undefined : positive,
  build: (g, [x]) => g.op('Pow', [x as Value, g.constant(floats('float64', [exponent]))]),
})

/** Every rule, with the shapes that it must get right. */
const CASES: Readonly<Record<string, readonly Case[]>> = {
  Abs: unary('Abs', away),
  Add: binary('Add'),
  Cast: [{ shapes: [[2, 3]], build: (g, [x]) => g.op('Cast', [g.op('Cast', [x as Value], { to: 11n })], { to: 11n }) }],
  Div: binary('Div', (value, input) => (input === 1 ? away(value) : value)),
  Exp: unary('Exp'),
  Expand: [withInts('Expand', [3, 1], [2, 3, 4]), withInts('Expand', [2], [1]), withInts('Expand', [], [2, 2])],
  Flatten: [[2, 3], [2, 3, 2], [4]].map((shape) => ({
    shapes: [shape],
    build: (g, [x]) => g.op('Flatten', [x as Value]),
  })),
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
  Identity: unary('Identity'),
  Log: unary('Log', positive),
  LogSoftmax: [
    unary('LogSoftmax')[1],
    ...unary('LogSoftmax', undefined, { axis: -1n }).slice(1),
    ...unary('LogSoftmax', undefined, { axis: 0n }).slice(1),
  ] as Case[],
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
  Mul: binary('Mul'),
  Neg: unary('Neg'),
  Pow: [
    ...binary('Pow', (value, input) => (input === 0 ? positive(value) : value * 2)),
    ...[0, 1, 2, 3, 0.5, -1.5].map(power),
  ],
  Reciprocal: unary('Reciprocal', away),
  ReduceMean: [
    reduceMean([2, 3], undefined, 0n),
    reduceMean([2, 3], undefined, 1n),
    reduceMean([2, 3], [1], 0n),
    reduceMean([2, 3, 2], [0, -1], 0n),
    reduceMean([2, 3, 2], [1], 1n),
  ],
  ReduceSum: [
    reduceSum([2, 3], undefined, 0n),
    reduceSum([2, 3], [-1], 1n),
    reduceSum([2, 3], [0], 0n),
    reduceSum([2, 3, 2], [0, 2], 0n),
    {
      shapes: [[2, 3]],
      build: (g, [x]) => g.op('ReduceSum', [x as Value, g.constant(int64s([]))], { noop_with_empty_axes: 1n }),
    },
  ],
  Relu: unary('Relu', away),
  Reshape: [
    withInts('Reshape', [2, 3], [3, 2]),
    withInts('Reshape', [2, 3], [-1]),
    withInts('Reshape', [2, 3, 2], [0, -1]),
    withInts('Reshape', [], [1, 1]),
  ],
  Sigmoid: unary('Sigmoid'),
  Softmax: [...unary('Softmax').slice(1), ...unary('Softmax', undefined, { axis: 0n }).slice(1)],
  Sqrt: unary('Sqrt', positive),
  Squeeze: [withInts('Squeeze', [1, 3, 1], [0, -1])],
  Sub: binary('Sub'),
  Tanh: unary('Tanh'),
  Transpose: [[1n, 0n], undefined].map((perm) => ({
    shapes: [[2, 3]],
    build: (g, [x]) => g.op('Transpose', [x as Value], perm ? { perm } : {}),
  })),
  Unsqueeze: [withInts('Unsqueeze', [2, 3], [0, -1])],
}

describe('every gradient rule equals finite differences in float64', () => {
  it('and every rule has cases here', () => {
    expect(Object.keys(CASES).sort()).toEqual(Object.keys(GRADIENTS).sort())
  })

  for (const [operator, cases] of Object.entries(CASES)) {
    it(`of ${operator}, with sizes known when the graph is built and only when it runs`, async () => {
      for (const [index, item] of cases.entries()) {
        for (const free of [false, true]) await compare(item, free, `${operator} case ${index} free ${free}`)
      }
    })
  }
})

async function compare(item: Case, free: boolean, label: string): Promise<void> {
  const random = seeded(label.length * 7919)
  const built = await buildCase(item, free)
  const shape = await shapeOf(item)
  for (let round = 0; round < 2; round++) {
    const inputs = makeInputs(item, random)
    const weights = Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() * 2 - 1)
    const out = await runCase(built, item, inputs, weights, shape)
    for (const input of built.by) {
      const gradient = out[`gradient${input}`]
      expect(gradient?.dims, label).toEqual(item.shapes[input])
      for (let element = 0; element < (inputs[input]?.length ?? 0); element++) {
        const expected = await slope(built, item, inputs, weights, shape, input, element)
        expect(
          Math.abs(Number(gradient?.data[element]) - expected),
          `${label} input ${input} [${element}]`,
        ).toBeLessThan(1e-6 * (1 + Math.abs(expected)))
      }
    }
  }
  await built.session.release()
}

/** The output's shape, from the inference of the static graph: onnxruntime would refuse weights of another. */
async function shapeOf(item: Case): Promise<number[]> {
  const g = new GraphBuilder('shape')
  return item
    .build(
      g,
      item.shapes.map((shape, place) => g.input(`x${place}`, 'float64', shape)),
    )
    .shape.map(Number)
}

describe('differentiate', () => {
  it('takes sizes that meet only at run time, one of them 1', async () => {
    for (const rows of [1, 3]) {
      const g = new GraphBuilder('dynamic')
      const a = g.input('a', 'float64', ['left', 2])
      const b = g.input('b', 'float64', ['right', 2])
      const loss = g.op('ReduceSum', [g.op('Mul', [a, b])], { keepdims: 0n })
      const [da, db] = differentiate(g, loss, [a, b])
      g.output('da', da as Value)
      g.output('db', db as Value)
      const left = Float64Array.from({ length: rows * 2 }, (_, at) => at + 1)
      const out = await evaluate(g, {
        a: { dtype: 'float64', shape: [rows, 2], data: left },
        b: { dtype: 'float64', shape: [1, 2], data: Float64Array.of(10, 20) },
      })
      expect(out['da']).toEqual(Array.from({ length: rows * 2 }, (_, at) => (at % 2 === 0 ? 10 : 20)))
      expect(out['db']).toEqual(rows === 1 ? [1, 2] : [9, 12])
    }
  })

  it('gives 0 at the kinks of Relu and Abs, and finite slopes of Pow at 0', async () => {
    const g = new GraphBuilder('kinks')
    const x = g.input('x', 'float64', [3])
    const e = g.input('e', 'float64', [3])
    const sum = (value: Value): Value => g.op('ReduceSum', [value], { keepdims: 0n })
    const loss = g.op('Add', [g.op('Add', [sum(g.op('Relu', [x])), sum(g.op('Abs', [x]))]), sum(g.op('Pow', [x, e]))])
    const [dx, de] = differentiate(g, loss, [x, e])
    g.output('dx', dx as Value)
    g.output('de', de as Value)
    const out = await evaluate(g, {
      x: { dtype: 'float64', shape: [3], data: Float64Array.of(0, -0, 0) },
      e: { dtype: 'float64', shape: [3], data: Float64Array.of(0, 2, 1) },
    })
    expect(out['dx']).toEqual([0, 0, 1])
    expect(out['de']?.map(Math.abs)).toEqual([0, 0, 0])
  })

  it('adds up the paths of a value used several times', async () => {
    const g = new GraphBuilder('reuse')
    const x = g.input('x', 'float64', [])
    const loss = g.op('Add', [g.op('Mul', [x, x]), g.op('Mul', [x, g.op('Exp', [x])])])
    g.output('dx', differentiate(g, loss, [x])[0] as Value)
    const out = await evaluate(g, { x: { dtype: 'float64', shape: [], data: Float64Array.of(1) } })
    expect(out['dx']?.[0]).toBeCloseTo(2 + 2 * Math.E, 12)
  })

  it('computes nothing for what is frozen: the first layer, and operators without a rule before it', () => {
    const g = new GraphBuilder('frozen')
    const x = g.input('x', 'float32', [null, 4])
    const [w, v] = [g.input('w', 'float32', [4, 3]), g.input('v', 'float32', [3, 2])]
    const frozen = g.op('ReduceMax', [g.op('MatMul', [x, w])], { axes: [1n], keepdims: 1n })
    const loss = g.op('ReduceMean', [g.op('MatMul', [g.op('Mul', [frozen, g.op('MatMul', [x, w])]), v])], {
      keepdims: 0n,
    })
    const before = g.nodes.length
    differentiate(g, loss, [v])
    const added = g.nodes.slice(before).map((node) => node.opType)
    expect(added.filter((opType) => opType === 'Gemm')).toHaveLength(1)
    expect(added).not.toContain('MatMul')
  })

  it('names the node, the operator and what to use instead, before it adds anything', () => {
    const g = new GraphBuilder('undefined')
    const x = g.input('x', 'float32', [2, 3])
    const loss = g.op('ReduceSum', [g.op('ReduceMax', [x], { keepdims: 0n }, { name: 'peak' })], { keepdims: 0n })
    const before = g.nodes.length
    expect(() => differentiate(g, loss, [x])).toThrowError(
      expect.objectContaining({
        code: 'GRADIENT_NOT_DEFINED',
        data: { node: 'peak', operator: 'ReduceMax', nearest: 'Log(ReduceSum(Exp(x)))' },
      }),
    )
    expect(g.nodes).toHaveLength(before)
  })

  it('refuses a loss that is no scalar, and parameters that it does not depend on', () => {
    const g = new GraphBuilder('refused')
    const [x, unused] = [g.input('x', 'float32', [2]), g.input('unused', 'float32', [2])]
    const code = (work: () => unknown): string | undefined => {
      try {
        work()
      } catch (error) {
        return codeOf(error)
      }
      return undefined
    }
    expect(code(() => differentiate(g, g.op('Exp', [x]), [x]))).toBe('GRAPH_INVALID')
    expect(code(() => differentiate(g, g.op('ReduceSum', [x], { keepdims: 0n }), [x, unused]))).toBe(
      'GRADIENT_UNREACHABLE',
    )
  })
})
