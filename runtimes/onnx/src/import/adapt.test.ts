import { create } from '@bufbuild/protobuf'
import { codeOf } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { graphOf, makeNode, opsetOf } from '../format/node.js'
import { valueInfo } from '../format/signature.js'
import { fromTensor, toTensor } from '../format/tensor.js'
import { AttributeSchema, GraphSchema, type Node } from '../generated/onnx_pb.js'
import { copied, f32, i64, modelOf, type Parts, run, spec, wave } from './import.fixture.js'

const node = makeNode
const x4 = { inputs: [spec('x', [2, 4, 4, 4])], outputs: [spec('y', [null, null, null, null])] }
const image = { x: wave([2, 4, 4, 4]) }
const cube = { x: wave([2, 3, 4]) }
const y = (rank: number) => ({
  outputs: [
    spec(
      'y',
      Array.from({ length: rank }, () => null),
    ),
  ],
})
const stats = {
  scale: f32([1, 2, 0.5, -1]),
  bias: f32([0, 1, 2, 3]),
  mean: f32([0.1, 0, 0.2, 0]),
  var: f32([1, 2, 1, 0.5]),
}
const normal = ['x', 'scale', 'bias', 'mean', 'var']

/** Old and new forms of operators, as their operator sets define them. */
const cases: Readonly<Record<string, Parts>> = {
  'ReduceMean 9, axes as an attribute': { opset: 9, nodes: [node('ReduceMean', ['x'], ['y'], { axes: [1n] })] },
  'ReduceMean 18, axes as an input': {
    opset: 18,
    nodes: [node('ReduceMean', ['x', 'axes'], ['y'], { keepdims: 0n })],
    tensors: { axes: i64(-1, 0) },
    ...y(1),
  },
  'ReduceMax 18 with no axes and noop': {
    opset: 18,
    nodes: [node('ReduceMax', ['x'], ['y'], { noop_with_empty_axes: 1n })],
  },
  'ReduceMax 20 of truth values': {
    opset: 20,
    nodes: [
      node('Greater', ['x', 'half'], ['g']),
      node('ReduceMax', ['g', 'axes'], ['m']),
      node('Cast', ['m'], ['y'], { to: 1n }),
    ],
    tensors: { half: f32([0.5]), axes: i64(1) },
  },
  'Range of vectors of one number': {
    opset: 13,
    nodes: [
      node('Shape', ['x'], ['shape']),
      node('Slice', ['shape', 'one', 'two'], ['size']),
      node('Range', ['zero', 'size', 'step'], ['r']),
      node('Cast', ['r'], ['f'], { to: 1n }),
      node('Unsqueeze', ['f', 'one'], ['column']),
      node('Mul', ['x', 'column'], ['y']),
    ],
    tensors: { zero: { ...i64(0), shape: [] }, one: i64(1), two: i64(2), step: { ...i64(1), shape: [] } },
    inputs: [spec('x', [null, null, 4])],
  },
  'ReduceSum 11': { opset: 11, nodes: [node('ReduceSum', ['x'], ['y'], { axes: [2n], keepdims: 1n })] },
  'ReduceLogSum 18': {
    opset: 18,
    nodes: [node('Abs', ['x'], ['a']), node('ReduceLogSum', ['a', 'axes'], ['y'])],
    tensors: { axes: i64(1) },
  },
  'Squeeze 11 and Unsqueeze 11': {
    opset: 11,
    nodes: [node('Unsqueeze', ['x'], ['u'], { axes: [0n, 2n] }), node('Squeeze', ['u'], ['y'], { axes: [0n, 2n] })],
  },
  'Squeeze 13 of every axis of size 1': {
    opset: 13,
    nodes: [node('Unsqueeze', ['x', 'axes'], ['u']), node('Squeeze', ['u'], ['y'])],
    tensors: { axes: i64(1) },
  },
  'Split 11, sizes as an attribute': {
    opset: 11,
    nodes: [node('Split', ['x'], ['a', 'b'], { axis: 2n, split: [1n, 3n] }), node('Mul', ['a', 'b'], ['y'])],
  },
  'Split 18 into parts that are not alike': {
    opset: 18,
    nodes: [node('Split', ['x'], ['a', 'b'], { axis: 1n, num_outputs: 2n }), node('Mul', ['a', 'b'], ['y'])],
  },
  'Softmax 11 over all axes from one on': { opset: 11, nodes: [node('Softmax', ['x'], ['y'], { axis: 1n })] },
  'LogSoftmax 11 along the last axis': { opset: 11, nodes: [node('LogSoftmax', ['x'], ['y'], { axis: 2n })] },
  'Slice 9': {
    opset: 9,
    nodes: [node('Slice', ['x'], ['y'], { starts: [0n, 1n], ends: [2n ** 63n - 1n, 3n], axes: [0n, 2n] })],
  },
  'Pad 10': { opset: 10, nodes: [node('Pad', ['x'], ['y'], { pads: [0n, 1n, 0n, 0n, 0n, 2n], value: 0.5 })] },
  'Pad 18 of named axes': {
    opset: 18,
    nodes: [node('Pad', ['x', 'pads', '', 'axes'], ['y'], { mode: 'edge' })],
    tensors: { pads: i64(1, 2, 3, 4), axes: i64(-1, 0) },
  },
  'Clip 10': { opset: 10, nodes: [node('Clip', ['x'], ['y'], { min: -0.5 })] },
  'Clip 13': {
    opset: 13,
    nodes: [node('Clip', ['x', 'low', 'high'], ['y'])],
    tensors: { low: f32([0], []), high: f32([1], []) },
  },
  'Dropout 10': { opset: 10, nodes: [node('Dropout', ['x'], ['d'], { ratio: 0.5 }), node('Neg', ['d'], ['y'])] },
  'Dropout 13': {
    opset: 13,
    nodes: [node('Dropout', ['x', 'ratio'], ['d', 'mask']), node('Neg', ['d'], ['y'])],
    tensors: { ratio: f32([0.5], []) },
  },
  'Upsample 9': {
    opset: 9,
    nodes: [node('Upsample', ['x', 'scales'], ['y'], { mode: 'nearest' })],
    tensors: { scales: f32([1, 1, 2, 2]) },
    ...x4,
  },
  'Resize 10': {
    opset: 10,
    nodes: [node('Resize', ['x', 'scales'], ['y'], { mode: 'linear' })],
    tensors: { scales: f32([1, 1, 2, 2]) },
    ...x4,
  },
  'Resize 19 of named axes': {
    opset: 19,
    nodes: [node('Resize', ['x', '', 'scales'], ['y'], { mode: 'nearest', axes: [2n, 3n] })],
    tensors: { scales: f32([2, 2]) },
    ...x4,
  },
  'BatchNormalization 9': {
    opset: 9,
    nodes: [node('BatchNormalization', normal, ['y'], { momentum: 0.9 })],
    tensors: stats,
    ...x4,
  },
  'BatchNormalization 15': {
    opset: 15,
    nodes: [node('BatchNormalization', normal, ['y'], { epsilon: 0.01 })],
    tensors: stats,
    ...x4,
  },
  'Gelu 20': { opset: 20, nodes: [node('Gelu', ['x'], ['y'])] },
  'Gelu 20 by tanh': { opset: 20, nodes: [node('Gelu', ['x'], ['y'], { approximate: 'tanh' })] },
  'Mish 18': { opset: 18, nodes: [node('Mish', ['x'], ['y'])] },
  'HardSwish 14': { opset: 14, nodes: [node('HardSwish', ['x'], ['y'])] },
  'LRN and Atan, which have no gradient': {
    opset: 13,
    nodes: [node('LRN', ['x'], ['n'], { size: 3n }), node('Atan', ['n'], ['y'])],
    ...x4,
  },
  'GroupNormalization 21': {
    opset: 21,
    nodes: [node('GroupNormalization', ['x', 'scale', 'bias'], ['y'], { num_groups: 2n })],
    tensors: { scale: stats.scale, bias: stats.bias },
    ...x4,
  },
  'LayerNormalization 17': {
    opset: 17,
    nodes: [node('LayerNormalization', ['x', 'scale', 'bias'], ['y'])],
    tensors: { scale: stats.scale, bias: stats.bias },
  },
  'Sum, Mean, Max and Min of three': {
    opset: 13,
    nodes: [
      node('Sum', ['x', 'c', 'x'], ['s']),
      node('Mean', ['s', 'x', 'c'], ['m']),
      node('Max', ['m', 'c', 'x'], ['h']),
      node('Min', ['h', 's', 'x'], ['y']),
    ],
    tensors: { c: f32([1, -1, 0.5, 0]) },
  },
  'Cast 19 and CastLike 15': {
    opset: 19,
    nodes: [node('Cast', ['x'], ['i'], { to: 6n, saturate: 1n }), node('CastLike', ['i', 'x'], ['y'])],
  },
  'DepthToSpace DCR and SpaceToDepth': {
    opset: 13,
    nodes: [
      node('DepthToSpace', ['x'], ['d'], { blocksize: 2n }),
      node('SpaceToDepth', ['d'], ['s'], { blocksize: 2n }),
      node('Sin', ['s'], ['y']),
    ],
    ...x4,
  },
  'DepthToSpace CRD': { opset: 13, nodes: [node('DepthToSpace', ['x'], ['y'], { blocksize: 2n, mode: 'CRD' })], ...x4 },
  'Constant in each of its forms': {
    opset: 13,
    nodes: [
      node('Constant', [], ['a'], { value_float: 2 }),
      node('Constant', [], ['b'], { value_floats: [1, 2, 3, 4] }),
      node('Constant', [], ['c'], { value_ints: [0n, 2n, 1n] }),
      node('Constant', [], ['d'], { value_int: 1n }),
      node('Mul', ['x', 'a'], ['m']),
      node('Add', ['m', 'b'], ['n']),
      node('Gather', ['n', 'c'], ['o'], { axis: 1n }),
      node('Gather', ['o', 'd'], ['y'], { axis: 0n }),
    ],
    ...y(2),
  },
}

describe('an imported operator gives what onnxruntime gives for the file', () => {
  for (const [title, parts] of Object.entries(cases)) {
    it(title, async () => {
      const model = modelOf(parts)
      const copy = copied(model)
      expect(opsetOf(copy)).toBe(17)
      const feeds = parts.inputs === x4.inputs ? image : cube
      const [ours, theirs] = [await run(copy, feeds), await run(model, feeds)]
      expect(ours['y']).toHaveLength(theirs['y']?.length ?? -1)
      // One engine, other kernels: rounding of single operations.
      for (const [at, value] of theirs['y']!.entries()) expect(ours['y']![at]).toBeCloseTo(value, 5)
    })
  }
})

describe('shapes that a graph computes', () => {
  const chain = [
    node('Shape', ['x'], ['shape']),
    node('Gather', ['shape', 'zero'], ['rows'], { axis: 0n }),
    node('Unsqueeze', ['rows', 'axis'], ['rows1']),
    node('Concat', ['rows1', 'rest'], ['wanted'], { axis: 0n }),
    node('Reshape', ['x', 'wanted'], ['y']),
  ]
  const tensors = { zero: { ...i64(0), shape: [] }, axis: i64(0), rest: i64(-1) }
  const parts: Parts = { opset: 13, nodes: chain, tensors, inputs: [spec('x', [null, 3, 4])], ...y(2) }

  it('become constants, with the batch fixed or free', async () => {
    for (const batch of [5, null]) {
      const copy = copied(modelOf(parts), { x: [batch, 3, 4] })
      expect(
        graphOf(copy)
          .node.map(({ opType }) => opType)
          .filter((opType) => opType !== 'Identity'),
      ).toEqual(['Reshape'])
      const feeds = { x: wave([5, 3, 4]) }
      expect(await run(copy, feeds)).toEqual(await run(modelOf(parts), feeds))
    }
  })

  it('that a table folds: modulo, comparisons, choices, with broadcasting', () => {
    const parts: Parts = {
      opset: 14,
      nodes: [
        node('Mod', ['minus', 'three'], ['m']),
        node('Concat', ['m', 'three'], ['pair'], { axis: 0n }),
        node('Less', ['pair', 'three'], ['less']),
        node('Where', ['less', 'pair', 'four'], ['sizes']),
        node('Mul', ['sizes', 'three'], ['twice']),
        node('Reshape', ['x', 'sizes'], ['y']),
        node('Cast', ['twice'], ['z'], { to: 1n }),
      ],
      tensors: { minus: i64(-1), three: i64(3), four: i64(12) },
      outputs: [spec('y', [null, null]), spec('z', [2])],
    }
    const { node: nodes, initializer } = graphOf(copied(modelOf(parts)))
    expect(nodes.map(({ opType }) => opType).filter((opType) => opType !== 'Identity')).toEqual(['Reshape'])
    expect(initializer.map((tensor) => [tensor.dataType, ...toTensor(tensor).data])).toEqual([
      [7, 2n, 12n],
      [1, 6, 36],
    ])
  })

  it('follow another batch size than the exporter wrote down', async () => {
    const fixed = modelOf({
      opset: 13,
      nodes: [node('Reshape', ['x', 'shape'], ['y'])],
      tensors: { shape: i64(1, -1) },
      inputs: [spec('x', [1, 3, 4])],
      ...y(2),
    })
    const x = wave([5, 3, 4])
    expect((await run(copied(fixed, { x: [null, 3, 4] }), { x }))['y']).toEqual(Array.from(x.data as Float32Array))
  })
})

it('finds the batch that an exporter wrote into shapes wherever it is merged with other axes', async () => {
  // As PyTorch's attention does it: [time, batch, features] with heads beside the batch, and rows of both for a product.
  const attention = (batch: number) =>
    modelOf({
      opset: 14,
      nodes: [
        node('Transpose', ['x'], ['t'], { perm: [1n, 0n, 2n] }),
        node('Reshape', ['t', 'heads'], ['h']),
        node('Transpose', ['h'], ['byHead'], { perm: [1n, 0n, 2n] }),
        node('Softmax', ['byHead'], ['s'], { axis: -1n }),
        node('Reshape', ['s', 'apart'], ['a']),
        node('Transpose', ['a'], ['back'], { perm: [2n, 0n, 1n, 3n] }),
        node('Reshape', ['back', 'rows'], ['r']),
        node('MatMul', ['r', 'w'], ['p']),
        node('Reshape', ['p', 'whole'], ['y']),
      ],
      tensors: {
        heads: i64(3, batch * 2, 2),
        apart: i64(batch, 2, 3, 2),
        rows: i64(3 * batch, 4),
        whole: i64(3, batch, 5),
        w: wave([4, 5]),
      },
      inputs: [spec('x', [batch, 3, 4])],
    })
  const x = wave([6, 3, 4])
  const expected = (await run(attention(6), { x }))['y']
  for (const batch of [6, null]) {
    for (const exported of [1, 2])
      expect((await run(copied(attention(exported), { x: [batch, 3, 4] }), { x }))['y']).toEqual(expected)
  }
})

it('carries an operator that it does not know through, with the type that the file says', async () => {
  const model = (declared: boolean) => {
    const made = modelOf({ opset: 13, nodes: [node('Hardmax', ['x'], ['a'], {}, 'hard'), node('Neg', ['a'], ['y'])] })
    if (declared) graphOf(made).valueInfo = [valueInfo(spec('a', [2, 3, 4]))]
    return made
  }
  expect(await run(copied(model(true)), cube)).toEqual(await run(model(true), cube))
  expect(() => copied(model(false))).toThrowError(
    expect.objectContaining({
      code: 'OPERATOR_UNSUPPORTED',
      data: { nodes: [expect.stringContaining('"hard" (Hardmax')] },
    }),
  )
})

describe('an If', () => {
  const branch = (name: string, factor: number) =>
    create(GraphSchema, {
      name,
      node: [node('Mul', ['x', `${name}_factor`], [`${name}_y`])],
      initializer: [fromTensor(`${name}_factor`, f32([factor]))],
      output: [valueInfo(spec(`${name}_y`, [2, 3, 4]))],
    })
  const choosing = (condition: readonly Node[], inputs = [spec('x', [2, 3, 4])]) => {
    const choice = node('If', ['c'], ['y'], {}, 'choice')
    choice.attribute.push(
      create(AttributeSchema, { name: 'then_branch', type: 5, g: branch('then', 2) }),
      create(AttributeSchema, { name: 'else_branch', type: 5, g: branch('else', 3) }),
    )
    return modelOf({ opset: 13, nodes: [...condition, choice], tensors: { three: i64(3), one: i64(1) }, inputs })
  }

  it('on what the shapes tell is the branch that is taken', async () => {
    const condition = [
      node('Shape', ['x'], ['s']),
      node('Gather', ['s', 'one'], ['size']),
      node('Equal', ['size', 'three'], ['c']),
    ]
    const copy = copied(choosing(condition))
    expect(graphOf(copy).node.map(({ opType }) => opType)).toEqual(['Mul', 'Identity'])
    expect(await run(copy, cube)).toEqual(await run(choosing(condition), cube))
  })

  it('on what shows only at run time is refused by its name', () => {
    expect(() => copied(choosing([], [spec('x', [2, 3, 4]), spec('c', [], 'bool')]))).toThrowError(
      expect.objectContaining({
        code: 'OPERATOR_UNSUPPORTED',
        data: { nodes: [expect.stringContaining('"choice" (If')] },
      }),
    )
  })
})

it('names the node and the operator that cannot be put into a graph', () => {
  const bad = modelOf({
    opset: 13,
    nodes: [node('MatMul', ['x', 'w'], ['y'], {}, 'product')],
    tensors: { w: wave([3, 3]) },
  })
  expect(() => copied(bad)).toThrowError(
    expect.objectContaining({
      code: 'NODE_INVALID',
      data: expect.objectContaining({ node: 'product', operator: 'MatMul' }),
    }),
  )
  const unknown = modelOf({ opset: 13, nodes: [node('toString', ['x'], ['t'], {}, 'odd'), node('Neg', ['t'], ['y'])] })
  let code: string | undefined
  try {
    copied(unknown)
  } catch (error) {
    code = codeOf(error)
  }
  expect(code).toBe('OPERATOR_UNSUPPORTED')
})
