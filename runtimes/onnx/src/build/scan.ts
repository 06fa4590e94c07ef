import { graphOf } from '../format/node.js'
import type { GraphBuilder } from './graph-builder.js'
import type { Value } from './value.js'

/** What a Scan goes over. */
export interface ScanOver {
  /** Taken by every step as they are. */
  readonly kept: readonly Value[]
  /** What the first step takes; each later one takes what the step before gave. */
  readonly states: readonly Value[]
  /** Cut along their first axis, one slice a step. */
  readonly sequences: readonly Value[]
  /** From the last slice to the first; what steps give is put together in the sequences' order all the same. */
  readonly reverse: boolean
}

/** One step, added to the body: from what it takes to the next states and what it gives. */
export type ScanStep = (
  body: GraphBuilder,
  kept: readonly Value[],
  states: readonly Value[],
  slices: readonly Value[],
) => { readonly states: readonly Value[]; readonly gives: readonly Value[] }

/** The states after the last step, and what the steps gave, stacked along a new first axis. */
export interface Scanned {
  readonly states: readonly Value[]
  readonly sequences: readonly Value[]
}

/**
 * A loop in the graph (ONNX `Scan`). The body sees only its inputs: what it keeps goes round as a state, because a body
 * that names values of the graph around it could not be copied under other names. Such a state is copied once a step
 * (handing an input on as an output gave wrong numbers in ONNX Runtime 1.30); measured, 0 to 5% of a training step.
 */
export function scan(g: GraphBuilder, over: ScanOver, step: ScanStep): Scanned {
  const name = g.fresh('Scan')
  const body = g.nested(name)
  const take = (values: readonly Value[], from: number): Value[] =>
    values.map(({ dtype, shape }) => body.input(body.fresh('in'), dtype, shape.slice(from)))
  const kept = take(over.kept, 0)
  const states = take(over.states, 0)
  const slices = take(over.sequences, 1)
  const out = step(body, kept, states, slices)

  const taken = new Set([...kept, ...states, ...slices].map((value) => value.name))
  for (const value of [...kept, ...out.states, ...out.gives]) {
    body.output(taken.has(value.name) ? body.fresh('out') : value.name, value)
    taken.add(value.name)
  }
  const direction = over.reverse ? 1n : 0n
  const outputs = g.ops(
    'Scan',
    [...over.kept, ...over.states, ...over.sequences],
    {
      body: graphOf(body.build()),
      num_scan_inputs: BigInt(slices.length),
      scan_input_directions: slices.map(() => direction),
      scan_output_directions: out.gives.map(() => direction),
    },
    { name, outputs: kept.length + states.length + out.gives.length },
  )
  return {
    states: outputs.slice(kept.length, kept.length + states.length),
    sequences: outputs.slice(kept.length + states.length),
  }
}
