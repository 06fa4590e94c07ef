import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../build/graph-builder.js'
import { floats, type Value } from '../build/value.js'
import { differentiate } from './differentiate.js'
import { evaluate } from './gradient.fixture.js'

/** The gradients of the sum of an operator's outputs by each of its inputs, float32 vectors. */
async function slopes(
  inputs: readonly (readonly number[])[],
  build: (g: GraphBuilder, inputs: readonly Value[]) => Value,
): Promise<(number[] | undefined)[]> {
  const g = new GraphBuilder('ties')
  const values = inputs.map((data, place) => g.input(`x${place}`, 'float32', [data.length]))
  const loss = g.op('ReduceSum', [build(g, values)], { keepdims: 0n })
  for (const [place, gradient] of differentiate(g, loss, values).entries()) g.output(`d${place}`, gradient)
  const feeds = inputs.map((data, place) => [`x${place}`, floats('float32', data, [data.length])] as const)
  const taken = feeds.filter(([name]) => g.nodes.some((node) => node.inputs.some((value) => value?.name === name)))
  const out = await evaluate(g, Object.fromEntries(taken))
  return inputs.map((_, place) => out[`d${place}`])
}

const scalar = (g: GraphBuilder, value: number): Value => g.constant(floats('float32', [value]))

describe('where the slope jumps', () => {
  it('Max and Min give all of it to the first of the largest, as maximum and minimum of tfjs do', async () => {
    for (const opType of ['Max', 'Min']) {
      const pair = await slopes(
        [
          [1, 2, 5],
          [1, 3, 4],
        ],
        (g, [a, b]) => g.op(opType, [a, b]),
      )
      const first = opType === 'Max' ? [1, 0, 1] : [1, 1, 0]
      expect(pair).toEqual([first, first.map((value) => 1 - value)])
      const three = await slopes([[1], [2], [2]], (g, [a, b, c]) => g.op(opType, [g.op('Neg', [a]), b, c]))
      expect(three).toEqual(opType === 'Max' ? [[-0], [1], [0]] : [[-1], [0], [0]])
    }
  })

  it('ReduceMax and ReduceMin share it evenly, as amax and amin of PyTorch do', async () => {
    for (const [opType, sign] of [
      ['ReduceMax', 1],
      ['ReduceMin', -1],
    ] as const) {
      const signed = [3, 1, 3, 2].map((value) => value * sign)
      expect(await slopes([signed], (g, [x]) => g.op(opType, [x], { keepdims: 0n }))).toEqual([[0.5, 0, 0.5, 0]])
    }
  })

  it('Clip passes it on at its bounds, as clamp of PyTorch and clipByValue of tfjs do', async () => {
    const [dx] = await slopes([[-2, -1, 0, 1, 2]], (g, [x]) => g.op('Clip', [x, scalar(g, -1), scalar(g, 1)]))
    expect(dx).toEqual([0, 1, 1, 1, 0])
  })

  it('LeakyRelu, PRelu, Elu and Selu have the slope of the lower side at 0, as PyTorch has', async () => {
    const at0 = async (build: (g: GraphBuilder, x: Value) => Value): Promise<number | undefined> =>
      (await slopes([[0]], (g, [x]) => build(g, x as Value)))[0]?.[0]
    expect(await at0((g, x) => g.op('LeakyRelu', [x], { alpha: 0.25 }))).toBe(0.25)
    expect(await at0((g, x) => g.op('PRelu', [x, scalar(g, 0.125)]))).toBe(0.125)
    expect(await at0((g, x) => g.op('Elu', [x], { alpha: 0.5 }))).toBe(0.5)
    expect(await at0((g, x) => g.op('Selu', [x], { alpha: 1.5, gamma: 2 }))).toBe(3)
  })

  it('HardSigmoid is flat at its ends, as in PyTorch; Abs, Relu and norms of zeros give 0', async () => {
    const ends = [-1, 0, 1]
    expect(await slopes([ends], (g, [x]) => g.op('HardSigmoid', [x], { alpha: 0.5, beta: 0.5 }))).toEqual([[0, 0.5, 0]])
    for (const opType of ['Abs', 'Relu']) expect(await slopes([[0]], (g, [x]) => g.op(opType, [x]))).toEqual([[0]])
    for (const opType of ['ReduceL1', 'ReduceL2'])
      expect(await slopes([[0, 0]], (g, [x]) => g.op(opType, [x]))).toEqual([[0, 0]])
  })
})

describe('Dropout', () => {
  const dropout = (g: GraphBuilder, x: Value, ratio: Value, training: Value): Value => {
    const [y, mask] = g.ops('Dropout', [x, ratio, training]) as [Value, Value]
    g.output('mask', g.op('Cast', [mask], { to: 1n }))
    return y
  }
  const run = async (mode: boolean, fed: boolean): Promise<Record<string, number[]>> => {
    const g = new GraphBuilder('dropout')
    const x = g.input('x', 'float32', [64])
    const flag = { dtype: 'bool', shape: [], data: Uint8Array.of(Number(mode)) } as const
    const training = fed ? g.input('training', 'bool', []) : g.constant(flag)
    const ratio = fed ? g.input('ratio', 'float32', []) : scalar(g, 0.75)
    const loss = g.op('ReduceSum', [dropout(g, x, ratio, training)], { keepdims: 0n })
    g.output('loss', loss)
    g.output('dx', differentiate(g, loss, [x])[0] as Value)
    const ones = floats(
      'float32',
      Array.from({ length: 64 }, () => 1),
      [64],
    )
    return evaluate(g, { x: ones, ...(fed && { training: flag, ratio: floats('float32', [0.75]) }) })
  }

  it('passes the gradient through the mask that the same run drew, scaled by what is kept', async () => {
    for (const fed of [false, true]) {
      const { mask, dx, loss } = await run(true, fed)
      expect(new Set(mask)).toEqual(new Set([0, 1]))
      expect(dx).toEqual(mask?.map((bit) => bit * 4))
      expect(loss?.[0]).toBe(dx?.reduce((sum, value) => sum + value, 0))
    }
  })

  it('passes all of it when not training, known beforehand or not', async () => {
    for (const fed of [false, true]) expect(new Set((await run(false, fed))['dx'])).toEqual(new Set([1]))
  })
})
