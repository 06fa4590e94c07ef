import { type AwareModel, FAKE_QUANTIZE, type ImportedModel, type ImportedNode } from '@tideway/onnx'
import { NORMALIZATION } from '@tideway/training'

/** What a value or a weight is called once it is rounded. */
export const roundedName = (value: string): string => `${value}/rounded`

/**
 * The same graph with a node that rounds behind every tensor that is carried as integers, and every such weight, and with
 * batch normalization in the place of the bias of the layers whose results are named.
 */
export function rounded(
  model: ImportedModel,
  { tensors, weights }: AwareModel,
  normalized: ReadonlySet<string>,
): ImportedModel {
  const all = new Set([...tensors.filter(({ readers }) => readers === undefined), ...weights].map(({ name }) => name))
  const some = new Map(tensors.map(({ name, readers = [] }) => [name, new Set(readers)]))
  const nodeOf = (opType: string, from: string, to: string): ImportedNode => ({
    name: to,
    opType,
    inputs: [from],
    outputs: [to],
    attributes: {},
    graphs: new Map(),
    captured: [],
  })
  const roundingOf = (name: string): ImportedNode => nodeOf(FAKE_QUANTIZE, name, roundedName(name))
  const made = new Set(model.nodes.flatMap(({ outputs }) => outputs))
  const wanted = new Set([...tensors, ...weights].map(({ name }) => name))
  const nodes = [...wanted].filter((name) => !made.has(name)).map(roundingOf)
  for (const node of model.nodes) {
    const [first = ''] = node.outputs
    const inputs = node.inputs.map((name) =>
      all.has(name) || some.get(name)?.has(first) === true ? roundedName(name) : name,
    )
    if (normalized.has(first)) {
      const result = `${first}/unbiased`
      nodes.push({ ...node, inputs: inputs.slice(0, 2), outputs: [result] }, nodeOf(NORMALIZATION, result, first))
    } else nodes.push({ ...node, inputs })
    nodes.push(...node.outputs.filter((name) => wanted.has(name)).map(roundingOf))
  }
  return { ...model, nodes, outputs: model.outputs.map((name) => (all.has(name) ? roundedName(name) : name)) }
}
