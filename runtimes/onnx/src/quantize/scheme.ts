import type { Model, Node } from '../generated/onnx_pb.js'
import type { GraphEdit } from './graph/edit.js'
import type { GraphView } from './view.js'

export interface Kept {
  readonly node: string
  readonly reason: string
}

/** A model on its way to a smaller form: the view is of the float graph, the edit holds what will change. */
export interface Work {
  readonly model: Model
  readonly view: GraphView
  readonly edit: GraphEdit
  /** Nodes that have got another form. */
  readonly done: Set<Node>
}

/** What a scheme did, and what it left in float. */
export interface Outcome {
  readonly quantized: string[]
  readonly kept: Kept[]
  readonly requires: string[]
}

/** Need of a variant that uses one of ONNX Runtime's own operators. */
export const operatorNeed = (operator: string) => `operator:com.microsoft.${operator}`
