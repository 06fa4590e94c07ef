import { create } from '@bufbuild/protobuf'
import { errors } from '../errors.js'
import { graphOf } from '../format/node.js'
import {
  GraphSchema,
  type Model,
  ModelSchema,
  type Node,
  NodeSchema,
  type ValueInfo,
  ValueInfoSchema,
} from '../generated/onnx_pb.js'

export interface Unrolling {
  /** How many times the graph is run by one run of the result; 1 or more. */
  readonly times: number
  /** Inputs that take what an output of the round before gave: input name to output name. */
  readonly carried: ReadonlyMap<string, string>
  /** Inputs that every round takes the same. */
  readonly shared: ReadonlySet<string>
}

/** The name of an input or output that is of one round only. */
export const roundName = (name: string, round: number): string => `${name}@${round}`

/**
 * A model that does in one run what `times` runs of the given one do in a row. Carried inputs and outputs are there
 * once, under their names; every other input and output once a round, as `roundName` says; tensors are shared.
 * Throws `GRAPH_INVALID` for a carried name that is not there.
 *
 * @example
 * // eight training steps a run: no parameter leaves the engine in between
 * unroll(model, { times: 8, carried: new Map([['w', 'w_next']]), shared: new Set(['learning_rate']) })
 */
export function unroll(model: Model, { times, carried, shared }: Unrolling): Model {
  const graph = graphOf(model)
  const stored = new Set(graph.initializer.map((tensor) => tensor.name ?? ''))
  const outputs = new Map([...carried].map(([input, output]) => [output, input]))
  for (const [input, output] of carried)
    for (const [name, list] of [
      [input, graph.input],
      [output, graph.output],
    ] as const)
      if (!list.some((value) => value.name === name))
        throw errors.GRAPH_INVALID({ operator: 'unroll', reason: `"${name}" is carried and not there` })

  /** What a value of the original is called in a round. */
  const nameIn = (round: number, name: string): string => {
    if (name === '' || stored.has(name) || shared.has(name)) return name
    const source = carried.get(name)
    if (source !== undefined) return round === 0 ? name : nameIn(round - 1, source)
    return outputs.has(name) && round === times - 1 ? name : roundName(name, round)
  }
  const rounds = Array.from({ length: times }, (_, round) => round)
  const once = (values: readonly ValueInfo[], isOnce: (name: string) => boolean): ValueInfo[] => [
    ...values.filter((value) => isOnce(value.name ?? '')),
    ...rounds.flatMap((round) =>
      values
        .filter((value) => !isOnce(value.name ?? ''))
        .map((value) => create(ValueInfoSchema, { ...value, name: roundName(value.name ?? '', round) })),
    ),
  ]
  const nodeIn = (round: number, node: Node): Node =>
    create(NodeSchema, {
      ...node,
      name: roundName(node.name ?? '', round),
      input: node.input.map((name) => nameIn(round, name)),
      output: node.output.map((name) => nameIn(round, name)),
    })
  return create(ModelSchema, {
    ...model,
    graph: create(GraphSchema, {
      ...graph,
      node: rounds.flatMap((round) => graph.node.map((node) => nodeIn(round, node))),
      input: once(graph.input, (name) => carried.has(name) || shared.has(name)),
      output: once(graph.output, (name) => outputs.has(name)),
      valueInfo: [],
    }),
  })
}
