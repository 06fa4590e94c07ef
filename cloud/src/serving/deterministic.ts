import { type Graph, type Node, readModel } from '@tideway/onnx'

/** ONNX's own operators that draw numbers; ONNX Runtime's generators go on from run to run, also from a given seed. */
const RANDOM: ReadonlySet<string> = new Set([
  'Bernoulli',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
])

/**
 * The operators of an ONNX file by which it answers the same inputs differently from run to run, in the order of their names:
 * in the graph, in bodies of branches and loops, and in functions of the file's own. Throws `MODEL_INVALID`.
 */
export function randomOperators(onnx: Uint8Array): readonly string[] {
  const { graph, functions } = readModel(onnx)
  const nodes = [...nodesOf(graph), ...functions.flatMap(({ node }) => node.flatMap(withBodies))]
  return [...new Set(nodes.filter(isRandom).map(({ opType }) => opType ?? ''))].sort()
}

function isRandom({ opType = '', domain = '', input }: Node): boolean {
  if (domain !== '' && domain !== 'ai.onnx') return false
  // Dropout drops where a third input, which may be computed, says that it trains.
  return RANDOM.has(opType) || (opType === 'Dropout' && (input[2] ?? '') !== '')
}

function nodesOf(graph: Graph | undefined): Node[] {
  return graph?.node.flatMap(withBodies) ?? []
}

function withBodies(node: Node): Node[] {
  const bodies = node.attribute.flatMap(({ g, graphs }) => [...(g ? [g] : []), ...graphs])
  return [node, ...bodies.flatMap(nodesOf)]
}
