import type { Tensor, TensorSpec } from '@tideway/core'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeNode } from '../format/node.js'
import { readModel } from '../format/read.js'
import { toTensor } from '../format/tensor.js'
import type { Node } from '../generated/onnx_pb.js'
import { floats, modelOf, normal, runOnce, uniform } from '../quantize/models.fixture.js'
import { cleanUpModel } from './cleanup.js'

const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })

const spec = (name: string, shape: TensorSpec['shape']): TensorSpec => ({ name, dtype: 'float32', shape })
const ints = (...values: number[]): Tensor => ({
  dtype: 'int64',
  shape: [values.length],
  data: BigInt64Array.from(values, BigInt),
})

interface Case {
  readonly input: readonly number[]
  readonly rank: number
  readonly node: Node[]
  readonly constants?: Readonly<Record<string, Tensor>>
  readonly opset?: bigint
}

/** Cleans up, checks that the answers are those of the original, and returns the operators that are left. */
async function cleaned({ input, rank, node, constants = {}, opset }: Case): Promise<string[]> {
  const bytes = modelOf({
    input: [spec('x', [null, ...input.slice(1)])],
    output: spec(
      'y',
      Array.from({ length: rank }, () => null),
    ),
    node,
    constants,
    ...(opset && { opset }),
  })
  const x = floats(
    [...input],
    normal(
      input.reduce((a, b) => a * b, 1),
      1,
      uniform(5),
    ),
  )
  const clean = await cleanUpModel(bytes, runtime)
  const [actual, wanted] = [await runOnce(runtime, clean, { x }), await runOnce(runtime, bytes, { x })]
  expectAlike(actual, wanted)
  return readModel(clean).graph?.node.map(({ opType }) => opType ?? '') ?? []
}

/** Folding rounds each weight once more, and sums in another order: a few ulp of the largest value. */
function expectAlike(actual: Float32Array, wanted: Float32Array): void {
  const peak = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6)
  expect(actual.length).toBe(wanted.length)
  for (const [i, value] of wanted.entries()) expect(Math.abs((actual[i] ?? NaN) - value)).toBeLessThan(1e-5 * peak)
}

const random = uniform(31)
const tensor = (...shape: number[]): Tensor =>
  floats(
    shape,
    normal(
      shape.reduce((a, b) => a * b, 1),
      0.5,
      random,
    ),
  )
const norm = (channels: number) => ({
  gamma: tensor(channels),
  beta: tensor(channels),
  mean: tensor(channels),
  variance: floats(
    [channels],
    normal(channels, 0.5, random).map((value) => value * value + 0.1),
  ),
})
const normalize = (input: string, output: string): Node =>
  makeNode('BatchNormalization', [input, 'gamma', 'beta', 'mean', 'variance'], [output], { epsilon: 1e-3 })

describe('cleaning up a graph', () => {
  it.each<[string, Node, Tensor, number[], number]>([
    [
      'a convolution',
      makeNode('Conv', ['x', 'w'], ['c'], { pads: [1n, 1n, 1n, 1n] }),
      tensor(6, 4, 3, 3),
      [2, 4, 5, 5],
      4,
    ],
    ['a depthwise one', makeNode('Conv', ['x', 'w'], ['c'], { group: 6n }), tensor(6, 1, 3, 3), [2, 6, 5, 5], 4],
    ['a grouped one', makeNode('Conv', ['x', 'w'], ['c'], { group: 2n }), tensor(6, 2, 3, 3), [2, 4, 5, 5], 4],
    ['a 1-D one', makeNode('Conv', ['x', 'w'], ['c'], { strides: [2n] }), tensor(6, 3, 3), [2, 3, 9], 3],
    [
      'a transposed one',
      makeNode('ConvTranspose', ['x', 'w'], ['c'], { strides: [2n, 2n] }),
      tensor(4, 6, 3, 3),
      [2, 4, 3, 3],
      4,
    ],
    [
      'a grouped transposed one',
      makeNode('ConvTranspose', ['x', 'w'], ['c'], { group: 2n }),
      tensor(4, 3, 3, 3),
      [2, 4, 3, 3],
      4,
    ],
    ['a Gemm', makeNode('Gemm', ['x', 'w'], ['c']), tensor(4, 6), [3, 4], 2],
    ['a Gemm of transposed weights', makeNode('Gemm', ['x', 'w'], ['c'], { transB: 1n }), tensor(6, 4), [3, 4], 2],
    ['a MatMul', makeNode('MatMul', ['x', 'w'], ['c']), tensor(4, 6), [3, 4], 2],
  ])('folds batch normalization into %s', async (_, node, w, input, rank) => {
    const left = await cleaned({ input, rank, node: [node, normalize('c', 'y')], constants: { w, ...norm(6) } })
    expect(left).toEqual(node.opType === 'MatMul' ? ['MatMul', 'Add'] : [node.opType])
  })

  it('folds arithmetic with constants into a layer that has a bias, and into a MatMul with its Add', async () => {
    const constants = { w: tensor(6, 4, 1, 1), b: tensor(6), k: tensor(6, 1, 1), s: tensor(), m: tensor(1, 6, 1, 1) }
    const conv = [
      makeNode('Conv', ['x', 'w', 'b'], ['c']),
      makeNode('Mul', ['k', 'c'], ['d']),
      makeNode('Sub', ['s', 'd'], ['e']),
      makeNode('Div', ['e', 's'], ['f']),
      makeNode('Add', ['f', 'm'], ['y']),
    ]
    expect(await cleaned({ input: [2, 4, 3, 3], rank: 4, node: conv, constants })).toEqual(['Conv'])
    const dense = [
      makeNode('MatMul', ['x', 'w'], ['c']),
      makeNode('Add', ['c', 'b'], ['d']),
      makeNode('Mul', ['d', 'b'], ['e']),
      makeNode('Sub', ['e', 's'], ['y']),
    ]
    const parts = { w: tensor(4, 6), b: tensor(6), s: tensor() }
    expect(await cleaned({ input: [2, 5, 4], rank: 3, node: dense, constants: parts })).toEqual(['MatMul', 'Add'])
  })

  it('folds one factor for all values into every layer that reads them, and a shift where nothing is padded', async () => {
    const constants = {
      w: tensor(3, 2, 2, 2),
      v: tensor(3, 2, 2, 2),
      b: tensor(3),
      s: floats([], [255]),
      m: floats([], [0.5]),
    }
    const node = (pads: bigint) => [
      makeNode('Div', ['x', 's'], ['d']),
      makeNode('Sub', ['d', 'm'], ['e']),
      makeNode('Conv', ['e', 'w', 'b'], ['f'], { pads: [pads, pads, pads, pads] }),
      makeNode('Conv', ['e', 'v'], ['g']),
      makeNode('Concat', ['f', 'g'], ['y'], { axis: 1n }),
    ]
    expect(await cleaned({ input: [2, 2, 4, 4], rank: 4, node: node(0n), constants })).toEqual([
      'Conv',
      'Conv',
      'Concat',
    ])
    const padded = [...node(1n).slice(0, 3), makeNode('Relu', ['f'], ['y'])]
    const left = await cleaned({ input: [2, 2, 4, 4], rank: 4, node: padded, constants })
    expect(left).toEqual(['Div', 'Sub', 'Conv', 'Relu'])
  })

  it('leaves what cannot be folded: values read twice, another axis, a factor per column, an output', async () => {
    const constants = { w: tensor(4, 4, 1, 1), k: tensor(4), s: tensor() }
    const twice = [
      makeNode('Conv', ['x', 'w'], ['c']),
      makeNode('Mul', ['c', 's'], ['d']),
      makeNode('Sub', ['d', 'c'], ['y']),
    ]
    expect(await cleaned({ input: [2, 4, 4, 4], rank: 4, node: twice, constants })).toEqual(['Conv', 'Mul', 'Sub'])
    const across = [makeNode('Conv', ['x', 'w'], ['c']), makeNode('Mul', ['c', 'k'], ['y'])]
    expect(await cleaned({ input: [2, 4, 4, 4], rank: 4, node: across, constants })).toEqual(['Conv', 'Mul'])
    const columns = [makeNode('Mul', ['x', 'k'], ['c']), makeNode('MatMul', ['c', 'v'], ['y'])]
    expect(
      await cleaned({ input: [2, 4], rank: 2, node: columns, constants: { k: tensor(4), v: tensor(4, 3) } }),
    ).toEqual(['Mul', 'MatMul'])
    const lifted = [makeNode('Gemm', ['x', 'v'], ['c']), makeNode('Add', ['c', 'm'], ['y'])]
    expect(
      await cleaned({ input: [2, 4], rank: 3, node: lifted, constants: { v: tensor(4, 3), m: tensor(1, 1, 3) } }),
    ).toEqual(['Gemm', 'Add'])
  })

  it('does not take a vector for a matrix, whose product a factor may lift', async () => {
    const node = [makeNode('MatMul', ['x', 'w'], ['c']), makeNode('Mul', ['c', 'k'], ['y'])]
    const constants = { w: tensor(4, 3), k: tensor(1, 3) }
    const bytes = modelOf({ input: [spec('x', [4])], output: spec('y', [null, null]), node, constants })
    const { graph } = readModel(await cleanUpModel(bytes, runtime))
    expect(graph?.node.map(({ opType }) => opType)).toEqual(['MatMul', 'Mul'])
  })

  it('refuses a graph with a cycle', async () => {
    const node = [makeNode('Relu', ['b'], ['a']), makeNode('Relu', ['a'], ['b']), makeNode('Add', ['b', 'x'], ['y'])]
    const bytes = modelOf({ input: [spec('x', [4])], output: spec('y', [4]), node, constants: {} })
    await expect(cleanUpModel(bytes, runtime)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  })

  it('leaves factors that would carry weights out of float32', async () => {
    const constants = { w: floats([2, 2], [1e30, 0, 0, 1]), big: floats([], [1e20]), small: floats([], [1e-38]) }
    const before = [makeNode('Mul', ['x', 'small'], ['a']), makeNode('Mul', ['a', 'big'], ['b'])]
    const node = [...before, makeNode('MatMul', ['b', 'w'], ['y'])]
    expect(await cleaned({ input: [2, 2], rank: 2, node, constants })).toEqual(['Mul', 'Mul', 'MatMul'])
    const after = [makeNode('MatMul', ['x', 'w'], ['a']), makeNode('Mul', ['a', 'big'], ['b'])]
    const lowered = [...after, makeNode('Mul', ['b', 'small'], ['y'])]
    expect(await cleaned({ input: [2, 2], rank: 2, node: lowered, constants })).toEqual(['MatMul', 'Mul', 'Mul'])
  })

  it('removes identities at any place, also where they carry the name of an output', async () => {
    const node = [
      makeNode('Identity', ['x'], ['a']),
      makeNode('Dropout', ['a', 'half'], ['b', 'mask']),
      makeNode('Transpose', ['b'], ['c'], { perm: [0n, 1n] }),
      makeNode('Tanh', ['c'], ['d']),
      makeNode('Pad', ['d', 'none'], ['e']),
      makeNode('Concat', ['e'], ['f'], { axis: 1n }),
      makeNode('Identity', ['f'], ['y']),
    ]
    const constants = { half: floats([], [0.5]), none: ints(0, 0, 0, 0) }
    expect(await cleaned({ input: [2, 4], rank: 2, node, constants })).toEqual(['Tanh'])
    expect(await cleaned({ input: [2, 4], rank: 2, node: [makeNode('Identity', ['x'], ['y'])] })).toEqual(['Identity'])
  })

  it('joins transpositions, and makes one of a reshape that moves the only channel, so that both go', async () => {
    const node = [
      makeNode('Reshape', ['x', 'first'], ['a']),
      makeNode('Transpose', ['a'], ['b'], { perm: [0n, 2n, 3n, 1n] }),
      makeNode('Tanh', ['b'], ['y']),
    ]
    expect(await cleaned({ input: [2, 5, 3, 1], rank: 4, node, constants: { first: ints(-1, 1, 5, 3) } })).toEqual([
      'Tanh',
    ])
    const other = [makeNode('Reshape', ['x', 'first'], ['y'])]
    expect(
      await cleaned({ input: [2, 5, 3, 1], rank: 4, node: other, constants: { first: ints(-1, 1, 3, 5) } }),
    ).toEqual(['Reshape'])
  })

  it('makes a matrix of a mean over all places by squeezing it', async () => {
    const pooled = (last: Node): Node[] => [
      makeNode('Conv', ['x', 'w'], ['c']),
      makeNode('Add', ['c', 'x'], ['a']),
      makeNode('Relu', ['a'], ['r']),
      makeNode('GlobalAveragePool', ['r'], ['p']),
      last,
    ]
    const run = (last: Node) =>
      cleaned({
        input: [2, 4, 3, 3],
        rank: 2,
        node: pooled(last),
        constants: { w: tensor(4, 4, 1, 1), to: ints(-1, 4), from: ints(0, -1), other: ints(-1, 2) },
      })
    for (const last of [
      makeNode('Flatten', ['p'], ['y']),
      makeNode('Reshape', ['p', 'to'], ['y']),
      makeNode('Reshape', ['p', 'from'], ['y']),
    ])
      expect((await run(last)).at(-1)).toBe('Squeeze')
    expect((await run(makeNode('Reshape', ['p', 'other'], ['y']))).at(-1)).toBe('Reshape')
  })

  it.each<[string, Node[], string[]]>([
    ['Relu, Relu', [makeNode('Relu', ['x'], ['a']), makeNode('Relu', ['a'], ['y'])], ['Relu']],
    ['Relu, Clip', [makeNode('Relu', ['x'], ['a']), makeNode('Clip', ['a', 'low', 'high'], ['y'])], ['Clip']],
    ['Clip, Relu', [makeNode('Clip', ['x', 'low', 'high'], ['a']), makeNode('Relu', ['a'], ['y'])], ['Clip']],
    ['Clip, Relu without a top', [makeNode('Clip', ['x', 'low'], ['a']), makeNode('Relu', ['a'], ['y'])], ['Relu']],
    [
      'Relu, Clip of a range below',
      [makeNode('Relu', ['x'], ['a']), makeNode('Clip', ['a', 'low', 'lower'], ['y'])],
      ['Clip'],
    ],
  ])('joins %s', async (_, node, left) => {
    const constants = { low: floats([], [-0.5]), lower: floats([], [-0.25]), high: floats([], [0.7]) }
    expect(await cleaned({ input: [6, 5], rank: 2, node, constants })).toEqual(left)
  })

  it('makes zeros around an image the padding of the convolution', async () => {
    const node = [
      makeNode('Pad', ['x', 'pads'], ['p']),
      makeNode('Conv', ['p', 'w'], ['y'], { pads: [0n, 1n, 0n, 1n], strides: [2n, 2n] }),
    ]
    const constants = { w: tensor(3, 2, 3, 3), pads: ints(0, 0, 1, 0, 0, 0, 2, 1) }
    expect(await cleaned({ input: [2, 2, 6, 6], rank: 4, node, constants })).toEqual(['Conv'])
    const channels = { ...constants, w: tensor(3, 3, 3, 3), pads: ints(0, 1, 0, 0, 0, 0, 0, 0) }
    expect(await cleaned({ input: [2, 2, 6, 6], rank: 4, node, constants: channels })).toEqual(['Pad', 'Conv'])
  })

  it('leaves operators of other domains alone that have the names of standard ones', async () => {
    const foreign = (first: string, second: string, inputs: readonly string[] = [], attributes = {}): Node[] => [
      makeNode(first, ['x', ...(first.endsWith('Conv') ? ['w'] : [])], ['a'], attributes),
      makeNode(second, ['a', ...inputs], ['y'], attributes),
    ]
    const perm = { perm: [1n, 0n] }
    for (const node of [
      foreign('custom.Identity', 'Tanh'),
      foreign('custom.Relu', 'Relu'),
      foreign('Relu', 'custom.Clip', ['k', 'k']),
      foreign('Conv', 'custom.Add', ['k']),
      foreign('custom.Conv', 'Mul', ['k']),
      foreign('custom.Mul', 'Conv', ['w']),
      foreign('custom.Transpose', 'Transpose', [], perm),
      foreign('custom.Pad', 'Conv', ['w'], { pads: [0n, 0n] }),
      foreign('Tanh', 'custom.Gemm', ['k'], { alpha: 2 }),
    ]) {
      const output = spec('y', [null, 3, null])
      const constants = { w: tensor(3, 2, 1), k: floats([], [2]) }
      const { graph } = readModel(
        await cleanUpModel(modelOf({ input: [spec('x', [null, 2, 4])], output, node, constants }), runtime),
      )
      expect(graph?.node.map(({ domain = '', opType }) => `${domain} ${opType}`)).toEqual(
        node.map(({ domain = '', opType }) => `${domain} ${opType}`),
      )
    }
  })

  it.each([
    [0, ['Conv']],
    [1, ['Pad', 'Conv']],
  ])('reads the filler of a Pad before operator set 11 (%d)', async (value, left) => {
    const pads = [0n, 0n, 1n, 1n, 0n, 0n, 1n, 1n]
    const node = [makeNode('Pad', ['x'], ['p'], { pads, value }), makeNode('Conv', ['p', 'w'], ['y'])]
    const constants = { w: tensor(3, 2, 3, 3) }
    expect(await cleaned({ input: [2, 2, 6, 6], rank: 4, node, constants, opset: 10n })).toEqual(left)
  })

  it('computes what depends on constants alone, and leaves what would fill the file', async () => {
    const node = [
      makeNode('Constant', [], ['two'], { value: floats([], [2]) }),
      makeNode('Mul', ['w', 'two'], ['v']),
      makeNode('Transpose', ['v'], ['t'], { perm: [1n, 0n] }),
      makeNode('MatMul', ['x', 't'], ['m']),
      makeNode('ConstantOfShape', ['large'], ['zeros']),
      makeNode('ReduceMax', ['zeros'], ['top'], { keepdims: 0n }),
      makeNode('Max', ['m', 'top'], ['y']),
    ]
    const left = await cleaned({ input: [2, 4], rank: 2, node, constants: { w: tensor(3, 4), large: ints(300, 300) } })
    expect(left).toEqual(['MatMul', 'Max'])
    const filled = [makeNode('ConstantOfShape', ['large'], ['zeros']), makeNode('Add', ['x', 'zeros'], ['y'])]
    expect(await cleaned({ input: [1, 1], rank: 3, node: filled, constants: { large: ints(30, 30, 30) } })).toEqual([
      'ConstantOfShape',
      'Add',
    ])
  })

  it('counts a constant once that a chain joins to itself again and again', async () => {
    const node = Array.from({ length: 8 }, (_, at) =>
      makeNode('Concat', [`c${at}`, `c${at}`], [`c${at + 1}`], { axis: 1n }),
    )
    node.push(makeNode('Add', ['x', 'c8'], ['y']))
    const left = await cleaned({ input: [1, 1], rank: 2, node, constants: { c0: tensor(1, 1024) } })
    expect(left).toEqual(node.map(({ opType }) => opType))
  })

  it('stops storing what is computed before the whole file grows by more than a mebibyte', async () => {
    const node = [makeNode('Identity', ['x'], ['v0'])]
    for (let at = 0; at < 24; at++) {
      node.push(makeNode('ConstantOfShape', ['size'], [`f${at}`], { value: floats([1], [at]) }))
      node.push(makeNode('Add', [`v${at}`, `f${at}`], [at === 23 ? 'y' : `v${at + 1}`]))
    }
    const left = await cleaned({ input: [1, 1], rank: 2, node, constants: { size: ints(1, 15_000) } })
    // 17 of 60,000 bytes are in 1 MiB.
    expect(left.filter((type) => type === 'ConstantOfShape').length).toBe(7)
  })

  it('takes the factors of a Gemm, and the transposition of its weights, into its constants', async () => {
    const node = [makeNode('Gemm', ['x', 'w', 'b'], ['y'], { alpha: -3, beta: 0.5, transB: 1n })]
    const bytes = modelOf({
      input: [spec('x', [null, 4])],
      output: spec('y', [null, 3]),
      node,
      constants: { w: tensor(3, 4), b: tensor(3) },
    })
    const { graph } = readModel(await cleanUpModel(bytes, runtime))
    expect(graph?.node[0]?.attribute).toEqual([])
    expect(await cleaned({ input: [2, 4], rank: 2, node, constants: { w: tensor(3, 4), b: tensor(3) } })).toEqual([
      'Gemm',
    ])
    const product = [makeNode('Gemm', ['x', 'x', 'b'], ['y'], { alpha: 2, transB: 1n })]
    expect(await cleaned({ input: [2, 4], rank: 2, node: product, constants: { b: tensor(2) } })).toEqual(['Gemm'])
  })

  it('drops nodes, weights and annotations that no output needs', async () => {
    const bytes = modelOf({
      input: [spec('x', [null, 4])],
      output: spec('y', [null, 4]),
      node: [makeNode('Tanh', ['x'], ['y']), makeNode('MatMul', ['x', 'w'], ['z'])],
      constants: { w: tensor(4, 4) },
    })
    const { graph } = readModel(await cleanUpModel(bytes, runtime))
    expect([graph?.node.length, graph?.initializer.length]).toEqual([1, 0])
  })

  it('gives the answers of the original for random stacks of layers', async () => {
    const steps = fc.array(
      fc.constantFrom('conv', 'bn', 'relu', 'clip', 'mul', 'add', 'depthwise', 'identity', 'skip', 'pad'),
      {
        minLength: 2,
        maxLength: 12,
      },
    )
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 1e6 }), async (kinds, seed) => {
        const draw = uniform(seed)
        const node: Node[] = []
        const constants: Record<string, Tensor> = {
          low: floats([], [0]),
          high: floats([], [1.5]),
          ring: ints(0, 0, 1, 0, 0, 0, 1, 0),
        }
        const store = (name: string, shape: number[], positive = false): string => {
          const values = normal(
            shape.reduce((a, b) => a * b, 1),
            0.4,
            draw,
          )
          constants[name] = floats(shape, positive ? values.map((value) => value * value + 0.1) : values)
          return name
        }
        let value = 'x'
        let earlier = 'x'
        for (const [at, kind] of kinds.entries()) {
          const out = at === kinds.length - 1 ? 'y' : `v${at}`
          const name = (part: string): string => `${part}${at}`
          if (kind === 'conv') {
            const pads = [1n, 1n, 1n, 1n]
            node.push(makeNode('Conv', [value, store(name('w'), [4, 4, 3, 3]), store(name('b'), [4])], [out], { pads }))
          } else if (kind === 'depthwise')
            node.push(makeNode('Conv', [value, store(name('w'), [4, 1, 1, 1])], [out], { group: 4n }))
          else if (kind === 'bn') {
            const parts = ['g', 'o', 'm'].map((part) => store(name(part), [4]))
            node.push(makeNode('BatchNormalization', [value, ...parts, store(name('s'), [4], true)], [out]))
          } else if (kind === 'relu') node.push(makeNode('Relu', [value], [out]))
          else if (kind === 'clip') node.push(makeNode('Clip', [value, 'low', 'high'], [out]))
          else if (kind === 'mul')
            node.push(makeNode('Mul', [value, store(name('k'), at % 2 === 0 ? [] : [4, 1, 1])], [out]))
          else if (kind === 'add')
            node.push(makeNode('Add', [store(name('k'), at % 2 === 0 ? [] : [1, 4, 1, 1]), value], [out]))
          else if (kind === 'identity') node.push(makeNode('Identity', [value], [out]))
          else if (kind === 'pad') {
            const inner = `p${at}`
            node.push(makeNode('Pad', [value, 'ring'], [inner]))
            node.push(makeNode('Conv', [inner, store(name('w'), [4, 4, 3, 1])], [out]))
          } else {
            node.push(makeNode('Add', [value, earlier], [out]))
            earlier = value
          }
          value = out
        }
        await cleaned({ input: [2, 4, 4, 4], rank: 4, node, constants })
      }),
      { numRuns: 150, seed: 4 },
    )
  })

  it('gives the same bytes for the same model', async () => {
    const bytes = modelOf({
      input: [spec('x', [null, 4])],
      output: spec('y', [null, 6]),
      node: [makeNode('MatMul', ['x', 'w'], ['c']), normalize('c', 'y')],
      constants: { w: tensor(4, 6), ...norm(6) },
    })
    expect(await cleanUpModel(bytes, runtime)).toEqual(await cleanUpModel(bytes.slice(), runtime))
  })

  it('keeps names of inputs and outputs, and reads weights as they were stored', async () => {
    const bytes = modelOf({
      input: [spec('x', [null, 4])],
      output: spec('y', [null, 3]),
      node: [makeNode('Gemm', ['x', 'w', 'b'], ['g']), makeNode('Identity', ['g'], ['y'])],
      constants: { w: tensor(4, 3), b: tensor(3) },
    })
    const { graph } = readModel(await cleanUpModel(bytes, runtime))
    expect(graph?.output.map(({ name }) => name)).toEqual(['y'])
    const stored = readModel(bytes).graph?.initializer.map(toTensor)
    expect(graph?.initializer.map(toTensor)).toEqual(stored)
  })
})
