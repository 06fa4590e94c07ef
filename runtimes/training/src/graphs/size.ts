import type { BuiltNode } from '@tideway/onnx'

/** How many multiplications the products of a graph are, where sizes are known: what a run's time mostly goes to. */
export function multiplications(nodes: readonly BuiltNode[]): number {
  return nodes.reduce((sum, node) => sum + (COUNTS[node.opType]?.(node) ?? 0), 0)
}

const COUNTS: Readonly<Record<string, (node: BuiltNode) => number>> = {
  Gemm: (node) => sizes(node.outputs[0]) * size(node, 0, Number(node.attributes['transA'] ?? 0) === 1 ? 0 : 1),
  MatMul: (node) => sizes(node.outputs[0]) * size(node, 0, -1),
  // Of each output element: the kernel's own elements, [out, in / group, ...kernel].
  Conv: (node) => sizes(node.outputs[0]) * sizes(node.inputs[1], 1),
  // Of each input element: [in, out / group, ...kernel].
  ConvTranspose: (node) => sizes(node.inputs[0]) * sizes(node.inputs[1], 1),
}

function size(node: BuiltNode, input: number, axis: number): number {
  const found = node.inputs[input]?.shape.at(axis)
  return typeof found === 'number' ? found : 1
}

/** Elements behind the first `from` axes; free sizes count as 1. */
function sizes(value: BuiltNode['inputs'][number], from = 0): number {
  return (value?.shape ?? [])
    .slice(from)
    .reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : 1), 1)
}
