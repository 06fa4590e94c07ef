import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { GATES } from '../build/recurrent.js'
import { floats, type Value } from '../build/value.js'
import { graphOf } from '../format/node.js'
import { differentiate } from './differentiate.js'
import { type Case, evaluate, makeInputs, seeded } from './gradient.fixture.js'
import { recurrentProperties } from './properties/recurrent.fixture.js'

const OPERATORS = ['GRU', 'LSTM', 'RNN'] as const

describe('a recurrent operator in float32, the engine’s own, and written as a Scan in float64', () => {
  for (const operator of OPERATORS)
    it(`gives the same outputs and gradients: ${operator}`, async () => {
      await fc.assert(
        fc.asyncProperty(recurrentProperties[operator] as fc.Arbitrary<Case>, fc.nat(), async (item, seed) => {
          const inputs = makeInputs(item, seeded(seed))
          const [single, double] = [await results(item, inputs, 'float32'), await results(item, inputs, 'float64')]
          // Sums of a few dozen terms, rounded to 6e-8 each; the engine's sigmoid and tanh are good to about 1e-6.
          for (const [name, values] of Object.entries(double))
            for (const [at, value] of values.entries())
              expect(Math.abs((single[name]?.[at] ?? Number.NaN) - value), name).toBeLessThan(
                2e-5 * (1 + Math.abs(value)),
              )
        }),
        { seed: 1997, numRuns: 8 },
      )
    })
})

async function results(item: Case, inputs: readonly Float64Array[], dtype: 'float32' | 'float64') {
  const g = new GraphBuilder('both')
  const values = item.shapes.map((shape, place) => g.input(`x${place}`, dtype, shape))
  const y = item.build(g, values)
  g.output('y', y)
  for (const [place, gradient] of differentiate(g, squares(g, y), values).entries()) g.output(`dx${place}`, gradient)
  const feeds = inputs.map((data, place) => [`x${place}`, floats(dtype, Array.from(data), item.shapes[place])] as const)
  return evaluate(g, Object.fromEntries(feeds))
}

const squares = (g: GraphBuilder, y: Value): Value => g.op('ReduceSum', [g.op('Mul', [y, y])], { keepdims: 0n })

/** x [steps, batch, 2] and the weights of one direction of 3 units, as inputs of a graph. */
function taken(
  g: GraphBuilder,
  operator: string,
  batch: number | null,
  dtype: 'float32' | 'float64' = 'float32',
): [Value, Value, Value, Value] {
  const rows = (GATES[operator] ?? 1) * 3
  return [
    g.input('x', dtype, [4, batch ?? 'batch', 2]),
    g.input('w', dtype, [1, rows, 2]),
    g.input('r', dtype, [1, rows, 3]),
    g.input('b', dtype, [1, 2 * rows]),
  ]
}

const HIDDEN = { hidden_size: 3n }

describe('a recurrent operator', () => {
  for (const operator of OPERATORS) {
    it(`stays one node of the model, whose gradient goes back by Scan: ${operator}`, () => {
      const g = new GraphBuilder('plain')
      const [x, w, r, b] = taken(g, operator, null)
      const [y] = g.ops(operator, [x, w, r, b], HIDDEN)
      g.output('y', y as Value)
      expect(graphOf(g.build()).node.map((node) => node.opType)).toEqual([operator, 'Identity'])
      for (const [at, gradient] of differentiate(g, squares(g, y as Value), [w, r, b]).entries())
        g.output(`gradient${at}`, gradient)
      const written = graphOf(g.build()).node.map((node) => node.opType)
      expect(written.filter((opType) => opType === operator)).toHaveLength(1)
      expect(written.filter((opType) => opType === 'Scan')).toHaveLength(operator === 'LSTM' ? 2 : 1)
    })

    it(`gives gradients of 0 for a batch of no rows: ${operator}`, async () => {
      // Where the size is free the engine's own kernels would run, and those of LSTM and GRU abort: there in float64.
      for (const [batch, dtype] of [
        [0, 'float32'],
        [null, 'float64'],
      ] as const)
        for (const direction of ['forward', 'reverse']) {
          const g = new GraphBuilder('empty')
          const inputs = taken(g, operator, batch, dtype)
          const [y, last] = g.ops(operator, inputs, { ...HIDDEN, direction }, { outputs: 2 })
          const loss = g.op('Add', [squares(g, y as Value), squares(g, last as Value)])
          for (const [at, gradient] of differentiate(g, loss, inputs).entries())
            g.output(['dx', 'dw', 'dr', 'db'][at] as string, gradient)
          const sizes = inputs.map(({ shape }) => shape.map((size) => (typeof size === 'string' ? 0 : size)))
          const counts = sizes.map((shape) => shape.reduce((p, q) => p * q, 1))
          const feeds = inputs.map(
            ({ name }, at) => [name, floats(dtype, Array(counts[at]).fill(0.5), sizes[at])] as const,
          )
          const used = new Set(graphOf(g.build()).node.flatMap((node) => node.input))
          const out = await evaluate(g, Object.fromEntries(feeds.filter(([name]) => used.has(name))))
          for (const [at, name] of ['dx', 'dw', 'dr', 'db'].entries())
            expect(out[name]?.map(Math.abs)).toEqual(Array(counts[at]).fill(0))
        }
    })

    it(`names what its gradient does not cover, before it adds anything: ${operator}`, () => {
      const vector = (g: GraphBuilder) => g.constant({ dtype: 'int32', shape: [2], data: Int32Array.of(4, 2) })
      const forms: readonly [string, (g: GraphBuilder, from: readonly Value[]) => Value][] = [
        ['sequence_lens', (g, from) => g.op(operator, [...from, vector(g)], HIDDEN)],
        ['clip', (g, from) => g.op(operator, from, { ...HIDDEN, clip: 1 })],
        ['activations', (g, from) => g.op(operator, from, { ...HIDDEN, activations: ['Softsign', 'Elu', 'Tanh'] })],
      ]
      for (const [what, build] of forms) {
        const g = new GraphBuilder('refused')
        const from = taken(g, operator, 2)
        const loss = squares(g, build(g, from))
        const before = g.nodes.length
        expect(() => differentiate(g, loss, [from[1]])).toThrowError(
          expect.objectContaining({
            code: 'GRADIENT_NOT_DEFINED',
            data: expect.objectContaining({ operator, nearest: expect.stringContaining(what) }),
          }),
        )
        expect(g.nodes).toHaveLength(before)
      }
    })

    it(`is refused with weights that do not fit: ${operator}`, () => {
      const g = new GraphBuilder('wrong')
      const [x, w, r, b] = taken(g, operator, 2)
      const [flat, double] = [g.input('flat', 'float32', [4, 2]), g.input('double', 'float64', r.shape)]
      for (const inputs of [
        [x, r, w, b],
        [x, w, r, w],
        [flat, w, r],
        [x, w, double],
      ])
        expect(() => g.ops(operator, inputs, HIDDEN)).toThrowError(expect.objectContaining({ code: 'GRAPH_INVALID' }))
    })
  }

  it('adds no node that the gradient asked for does not need', () => {
    for (const operator of OPERATORS)
      for (const place of [0, 1, 2, 3])
        for (const linear_before_reset of operator === 'GRU' ? [0n, 1n] : [0n]) {
          const g = new GraphBuilder('alone')
          const from = taken(g, operator, null)
          const attributes = operator === 'GRU' ? { ...HIDDEN, linear_before_reset } : HIDDEN
          const loss = squares(g, g.op(operator, from, attributes))
          const before = g.nodes.length
          g.output('gradient', differentiate(g, loss, [from[place] as Value])[0] as Value)
          const written = new Set(graphOf(g.build()).node.map((node) => node.name))
          const dead = g.nodes.slice(before).filter((node) => !written.has(node.name))
          expect(
            dead.map((node) => node.opType),
            `${operator} by input ${place}`,
          ).toEqual([])
        }
  })

  it('has no gradient with peepholes, or with its gates coupled', () => {
    const g = new GraphBuilder('peepholes')
    const [x, w, r, b] = taken(g, 'LSTM', 2)
    const p = g.input('p', 'float32', [1, 9])
    const seen = g.op('LSTM', [x, w, r, b, undefined, undefined, undefined, p], HIDDEN)
    const coupled = g.op('LSTM', [x, w, r, b], { ...HIDDEN, input_forget: 1n })
    for (const y of [seen, coupled])
      expect(() => differentiate(g, squares(g, y), [w])).toThrowError(
        expect.objectContaining({ code: 'GRADIENT_NOT_DEFINED' }),
      )
  })
})

describe('Einsum', () => {
  const built = (equation: string, ...shapes: readonly (readonly number[])[]) => {
    const g = new GraphBuilder('einsum')
    const inputs = shapes.map((shape, place) => g.input(`x${place}`, 'float32', shape))
    return { g, inputs, y: g.op('Einsum', inputs, { equation }) }
  }

  it('is refused with an equation that does not fit', () => {
    for (const equation of ['ij,jk', 'ijk->i', 'ij->ik', 'ij->ii', 'i1->i', 'ij->i->j', '....->'])
      expect(() => built(equation, [2, 3])).toThrowError(expect.objectContaining({ code: 'GRAPH_INVALID' }))
    expect(() => built('ij,jk->ik', [2, 3], [4, 2])).toThrowError(expect.objectContaining({ code: 'GRAPH_INVALID' }))
  })

  it('has no gradient with an index twice in one term, or of three operands', () => {
    for (const { g, inputs, y } of [built('ii->i', [2, 2]), built('i,i,i->', [2], [2], [2])])
      expect(() => differentiate(g, squares(g, y), inputs.slice(0, 1))).toThrowError(
        expect.objectContaining({ code: 'GRADIENT_NOT_DEFINED' }),
      )
  })

  it('gives the gradient of a projection’s weights by one Gemm', () => {
    const { g, inputs, y } = built('btd,dhe->bthe', [2, 3, 4], [4, 2, 2])
    const before = g.nodes.length
    differentiate(g, squares(g, y), inputs.slice(1))
    const added = g.nodes.slice(before).map((node) => node.opType)
    expect(added).toContain('Gemm')
    expect(added).not.toContain('Einsum')
  })
})
