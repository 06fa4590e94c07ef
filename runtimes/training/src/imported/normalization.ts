import type { ImportedModel, ImportedNode, NodeEmission, Value } from '@tideway/onnx'
import type { ForwardContext } from '../trainable.js'

export const NORMALIZATION = 'BatchNormalization'

/** A batch normalization with the names of its tensors. */
export interface Normalization {
  readonly node: ImportedNode
  readonly scale: string
  readonly bias: string
  readonly mean: string
  readonly variance: string
}

/** The batch normalizations whose tensors are all stored. */
export function normalizationsOf({ nodes, tensors }: ImportedModel): Normalization[] {
  return nodes
    .filter((node) => node.opType === NORMALIZATION && node.inputs.slice(1, 5).every((name) => tensors.has(name)))
    .map((node) => {
      const [, scale = '', bias = '', mean = '', variance = ''] = node.inputs
      return { node, scale, bias, mean, variance }
    })
}

/**
 * A batch normalization while it is trained (Ioffe and Szegedy 2015): with the batch's own mean and biased variance,
 * which move the kept ones as ONNX says (kept · momentum + batch · (1 - momentum)).
 */
export function batchStatistics(e: NodeEmission, context: ForwardContext, names: Normalization): readonly Value[] {
  const { g } = e
  const [x, scale, bias, mean, variance] = [e.in(0), e.in(1), e.in(2), e.in(3), e.in(4)]
  const axes = x.shape.flatMap((_, axis) => (axis === 1 ? [] : [BigInt(axis)]))
  const upright = (value: Value): Value => {
    const ones = x.shape.slice(2).map(() => 1)
    return ones.length === 0 ? value : g.op('Reshape', [value, e.int64s([-1, ...ones])])
  }
  const batchMean = g.op('ReduceMean', [x], { axes, keepdims: 1n })
  const centered = g.op('Sub', [x, batchMean])
  const batchVariance = g.op('ReduceMean', [g.op('Mul', [centered, centered])], { axes, keepdims: 1n })
  const momentum = e.float('momentum', 0.9)
  for (const [name, kept, batch] of [
    [names.mean, mean, batchMean],
    [names.variance, variance, batchVariance],
  ] as const) {
    const flat = g.op('Reshape', [batch, e.int64s([-1])])
    const next = g.op('Add', [
      g.op('Mul', [kept, e.scalar(momentum, x)]),
      g.op('Mul', [flat, e.scalar(1 - momentum, x)]),
    ])
    context.update(name, next)
  }
  const deviation = g.op('Sqrt', [g.op('Add', [batchVariance, e.scalar(e.float('epsilon', 1e-5), x)])])
  const slope = g.op('Div', [upright(scale), deviation])
  return e.result('Add', [g.op('Mul', [centered, slope]), upright(bias)])
}

/** Names that say that a batch normalization was there. */
const TRACES = /batch_?norm|(^|[./_:])bn\d*([./_:]|$)/i

/**
 * Convolutions into which the exporter folded a batch normalization: PyTorch gives the folded weights numbers for names,
 * tf2onnx and others leave the normalization's name on them.
 */
export function foldedNormalizations({ nodes, tensors }: ImportedModel): ImportedNode[] {
  const normalized = new Set(nodes.flatMap((node) => (node.opType === NORMALIZATION ? [node.inputs[0]] : [])))
  return nodes.filter(
    (node) =>
      (node.opType === 'Conv' || node.opType === 'ConvTranspose') &&
      tensors.has(node.inputs[2] ?? '') &&
      !normalized.has(node.outputs[0]) &&
      (/^onnx::Conv\w*_\d+$/.test(node.inputs[1] ?? '') ||
        [node.name, ...node.inputs.slice(1), ...node.outputs].some((name) => TRACES.test(name))),
  )
}
