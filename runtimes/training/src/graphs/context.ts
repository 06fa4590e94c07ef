import type { GraphBuilder, Value } from '@tideway/onnx'
import type { ForwardContext, Trainable } from '../trainable.js'

/** Random numbers that a step is fed: 0 with probability `rate`, else 1 / (1 - rate). */
export interface Mask {
  readonly name: string
  readonly rate: number
  readonly shape: readonly number[]
}

/** Values of parameters that are not trained, which are stored in the step. */
export type Frozen = (name: string) => Float32Array

/** What a network takes and gives while a training step is built. */
export class TrainingContext implements ForwardContext {
  readonly training = true
  readonly statistics = new Map<string, Value>()
  readonly updates = new Map<string, Value>()
  readonly masks: Mask[] = []
  readonly penalties: Value[] = []
  private readonly shapes: ReadonlyMap<string, readonly number[]>
  private readonly parameters: Map<string, Value>

  constructor(
    private readonly g: GraphBuilder,
    network: Trainable,
    trained: ReadonlyMap<string, Value>,
    private readonly frozen: Frozen,
  ) {
    this.parameters = new Map(trained)
    this.shapes = new Map([...network.parameters, ...network.statistics].map(({ name, shape }) => [name, shape]))
  }

  parameter(name: string): Value {
    const known = this.parameters.get(name)
    if (known !== undefined) return known
    const shape = this.shapes.get(name) ?? []
    const stored = this.g.initializer(name, { dtype: 'float32', shape, data: this.frozen(name) })
    this.parameters.set(name, stored)
    return stored
  }

  statistic(name: string): Value {
    const known = this.statistics.get(name)
    if (known !== undefined) return known
    const value = this.g.input(name, 'float32', this.shapes.get(name) ?? [])
    this.statistics.set(name, value)
    return value
  }

  update(statistic: string, next: Value): void {
    this.updates.set(statistic, next)
  }

  mask(name: string, rate: number, shape: Value['shape']): Value {
    const sizes = shape.map(Number)
    const input = this.g.input(`mask/${name}`, 'float32', sizes)
    this.masks.push({ name: input.name, rate, shape: sizes })
    return input
  }

  penalty(value: Value): void {
    this.penalties.push(value)
  }
}
