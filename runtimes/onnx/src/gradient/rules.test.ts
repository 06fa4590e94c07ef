import { codeOf } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import type { Value } from '../build/value.js'
import { CASES } from './cases/index.fixture.js'
import { differentiate } from './differentiate.js'
import { buildCase, type Case, closeCase, evaluate, makeInputs, runCase, seeded, slope } from './gradient.fixture.js'
import { GRADIENTS } from './rules.js'
import { activationRules } from './rules-activation.js'
import { elementwiseRules } from './rules-elementwise.js'
import { indexRules } from './rules-index.js'
import { layoutRules } from './rules-layout.js'
import { lossRules } from './rules-loss.js'
import { productRules } from './rules-product.js'
import { reduceRules } from './rules-reduce.js'

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

/** Float64 leaves the error of the differences, 1e-10 or so; float32 that of a few roundings of 6e-8 of what is summed. */
const TOLERANCE = { float64: 1e-6, float32: 2e-5 }

async function compare(item: Case, free: boolean, label: string): Promise<void> {
  const random = seeded(label.length * 7919)
  const built = await buildCase(item, free)
  const shape = await shapeOf(item)
  for (let round = 0; round < 2; round++) {
    const inputs = makeInputs(item, random)
    const weights = Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() * 2 - 1)
    const out = await runCase(built.session, built.dtype, item, inputs, weights, shape)
    for (const input of built.by) {
      const gradient = out[`gradient${input}`]
      expect(gradient?.dims, label).toEqual(item.shapes[input])
      for (let element = 0; element < (inputs[input]?.length ?? 0); element++) {
        const expected = await slope(built, item, inputs, weights, shape, input, element)
        expect(
          Math.abs(Number(gradient?.data[element]) - expected),
          `${label} input ${input} [${element}]`,
        ).toBeLessThan(TOLERANCE[built.dtype] * (1 + Math.abs(expected)))
      }
    }
  }
  await closeCase(built)
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

/** Groups whose rules are written input by input; whole layers leave it to the model to drop what no output needs. */
const BY_INPUT = {
  ...activationRules,
  ...elementwiseRules,
  ...indexRules,
  ...layoutRules,
  ...lossRules,
  ...productRules,
  ...reduceRules,
}

describe('every gradient rule adds only what is needed', () => {
  for (const [operator, cases] of Object.entries(CASES).filter(([name]) => name in BY_INPUT)) {
    it(`of ${operator}, for each of its inputs alone`, () => {
      for (const item of cases) {
        for (const by of item.by ?? item.shapes.keys()) expect(deadNodes(item, by)).toEqual([])
      }
    })
  }
})

/** Nodes that differentiating by one input adds and its gradient does not hang on; views compute nothing. */
function deadNodes(item: Case, by: number): string[] {
  const g = new GraphBuilder('needed')
  const dtype = item.reference === undefined ? 'float64' : 'float32'
  const inputs = item.shapes.map((shape, place) => g.input(`x${place}`, dtype, shape))
  const y = item.build(g, inputs)
  const loss = g.op('ReduceSum', [g.op('Mul', [y, g.input('weights', dtype, y.shape)])], { keepdims: 0n })
  const before = g.nodes.length
  const used = new Set(differentiate(g, loss, [inputs[by] as Value]).map(({ name }) => name))
  const dead: string[] = []
  for (const node of g.nodes.slice(before).toReversed()) {
    if (node.opType !== 'Unsqueeze' && !node.outputs.some(({ name }) => used.has(name))) dead.push(node.opType)
    for (const input of node.inputs) if (input !== undefined) used.add(input.name)
  }
  return dead
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
    const frozen = g.op('ReduceProd', [g.op('MatMul', [x, w])], { axes: [1n], keepdims: 1n })
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
    const loss = g.op('ReduceSum', [g.op('ReduceProd', [x], { keepdims: 0n }, { name: 'peak' })], { keepdims: 0n })
    const before = g.nodes.length
    expect(() => differentiate(g, loss, [x])).toThrowError(
      expect.objectContaining({
        code: 'GRADIENT_NOT_DEFINED',
        data: { node: 'peak', operator: 'ReduceProd', nearest: 'Exp(ReduceSum(Log(x))) for x > 0, or Mul of slices' },
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
