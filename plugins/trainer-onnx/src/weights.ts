import type { ResolvedOptimizer } from '@tideway/core'
import { ACCUMULATED } from '@tideway/onnx'
import {
  elements,
  type InitialTensors,
  LaidOutWeights,
  type Layout,
  nextOf,
  release,
  stateOf,
  type Trainable,
} from '@tideway/training'
import { Tensor } from 'onnxruntime-node'

type Feeds = Record<string, Tensor>

/**
 * Parameters, optimizer state and statistics: a step reads one buffer and writes another, made when it is first
 * written, then they swap. ONNX Runtime reads and writes the arrays in place, so no parameter is copied by JavaScript.
 */
export class Weights extends LaidOutWeights {
  private readonly sets: readonly [Feeds, Feeds] = [{}, {}]
  private readonly shapes: ReadonlyMap<string, readonly number[]>
  private readonly sides = new Map<string, 0 | 1>()

  constructor(network: Trainable, layout: Layout, optimizer: Pick<ResolvedOptimizer, 'step'>, initial: InitialTensors) {
    super(network, layout, optimizer, initial)
    const { parameters, state, statistics } = initial
    const states = ['', ...layout.states, ACCUMULATED]
    this.shapes = new Map([
      ...layout.slots.flatMap(({ name, shape }) => states.map((state) => [stateOf(name, state), shape] as const)),
      ...layout.statistics.map(({ name, shape }) => [name, shape] as const),
    ])
    for (const [name, view] of this.views(['', ...layout.states])) {
      const given = parameters[name] ?? state[name]
      if (given === undefined) continue
      view.set(given)
      if (given.byteLength === given.buffer.byteLength) release(given)
    }
    for (const { name } of layout.statistics) this.values(name).set(statistics[name] ?? [])
  }

  /** The current tensors of these names; others are not ours. */
  taken(names: Iterable<string>): Feeds {
    return this.tensors(names, (name) => [name, this.side(name)])
  }

  /** Where a step writes those that it changes. */
  written(changed: Iterable<string>): Feeds {
    return this.tensors(changed, (name) => [nextOf(name), this.side(name) === 0 ? 1 : 0])
  }

  /** Where a run writes the gradients of a step: it reads each element, if at all, before it writes it. */
  gradients(but: ReadonlySet<string>): Feeds {
    const slots = this.layout.slots.filter(({ name }) => !but.has(name))
    const names = slots.map(({ name }) => stateOf(name, ACCUMULATED))
    return this.tensors(names, (name) => [nextOf(name), this.side(name)])
  }

  /** Frees the memory of gradients, between steps. */
  dropGradients(): void {
    for (const { name } of this.layout.slots)
      for (const set of this.sets) {
        const gradient = set[stateOf(name, ACCUMULATED)]?.data
        if (gradient instanceof Float32Array) release(gradient)
        delete set[stateOf(name, ACCUMULATED)]
      }
  }

  /** Frees everything but frozen parameters, when a copy is all that is needed: the weights are done. */
  drop(): void {
    for (const set of this.sets) for (const { data } of Object.values(set)) release(data as Float32Array)
  }

  /** The current values themselves: of a slot, of its state or of a statistic. */
  values(name: string): Float32Array {
    return (this.tensor(name, this.side(name)) as Tensor).data as Float32Array
  }

  /** Makes what was written current. */
  swap(changed: Iterable<string>): void {
    for (const name of changed) this.sides.set(name, this.side(name) === 0 ? 1 : 0)
  }

  private side(name: string): 0 | 1 {
    return this.sides.get(name) ?? 0
  }

  private tensors(names: Iterable<string>, place: (name: string) => [key: string, side: 0 | 1]): Feeds {
    const feeds: Feeds = {}
    for (const name of names) {
      const [key, side] = place(name)
      const tensor = this.tensor(name, side)
      if (tensor !== undefined) feeds[key] = tensor
    }
    return feeds
  }

  private tensor(name: string, side: 0 | 1): Tensor | undefined {
    const shape = this.shapes.get(name)
    if (shape === undefined) return undefined
    this.sets[side][name] ??= new Tensor('float32', new Float32Array(elements(shape)), shape)
    return this.sets[side][name]
  }
}
