import type { ResolvedOptimizer } from '@tideway/core'
import { AVERAGE, averageScale } from '@tideway/onnx'
import type { Arrays, InitialTensors, TrainedWeights } from './engine.js'
import { stateOf } from './graphs/names.js'
import { elements, type Layout } from './layout.js'
import type { Trainable } from './trainable.js'

/** The weights of a run by the parameters of its network, wherever the tensors lie that they are laid out in. */
export abstract class LaidOutWeights implements TrainedWeights {
  private readonly frozen: ReadonlyMap<string, Float32Array>

  constructor(
    network: Pick<Trainable, 'parameters'>,
    protected readonly layout: Layout,
    private readonly optimizer: Pick<ResolvedOptimizer, 'step'>,
    { parameters }: Pick<InitialTensors, 'parameters'>,
  ) {
    this.frozen = new Map(
      network.parameters.flatMap(({ name, shape, trainable }) =>
        trainable ? [] : [[name, parameters[name] ?? new Float32Array(elements(shape))] as const],
      ),
    )
  }

  /** The current values of a slot, of its state or of a statistic; no copy. */
  abstract values(name: string): Float32Array

  abstract drop(): void

  set(name: string, values: Float32Array): void {
    this.values(name).set(values)
  }

  /** Of a parameter that no step writes. */
  frozenValues(name: string): Float32Array {
    return this.frozen.get(name) ?? new Float32Array(0)
  }

  isFrozen(name: string): boolean {
    return this.frozen.has(name)
  }

  parameters(): Arrays {
    return Object.fromEntries([...this.views(['']), ...this.frozen])
  }

  state(): Arrays {
    return Object.fromEntries(this.views(this.layout.states))
  }

  statistics(): Arrays {
    return Object.fromEntries(this.layout.statistics.map(({ name }) => [name, this.values(name)]))
  }

  averages(steps: number): Arrays {
    const { averageMomentum } = this.optimizer.step
    if (averageMomentum === undefined || steps === 0) return {}
    const scale = averageScale(averageMomentum, steps)
    return Object.fromEntries(
      this.views([AVERAGE]).map(([name, view]) => [
        name.slice(0, -AVERAGE.length - 1),
        view.map((value) => value * scale),
      ]),
    )
  }

  shipped(steps: number): Arrays {
    const averages = this.averages(steps)
    const now = Object.entries({ ...this.parameters(), ...this.statistics() })
    return Object.fromEntries(
      now.map(([name, values]) => [name, averages[name] ?? (this.isFrozen(name) ? values : values.slice())]),
    )
  }

  /** Views of each trained parameter, or of its state by that name. */
  protected views(states: readonly string[]): [name: string, view: Float32Array][] {
    return states.flatMap((state) =>
      this.layout.slots.flatMap(({ name, members }) => {
        const whole = this.values(stateOf(name, state))
        let at = 0
        return members.map((member): [string, Float32Array] => {
          const begin = at
          at += elements(member.shape)
          return [stateOf(member.name, state), whole.subarray(begin, at)]
        })
      }),
    )
  }
}

/** Weights as arrays, one for each slot, each state of it and each statistic, by the names they have in graphs. */
export class SlotWeights extends LaidOutWeights {
  private readonly arrays: Map<string, Float32Array>

  constructor(
    network: Pick<Trainable, 'parameters'>,
    layout: Layout,
    optimizer: Pick<ResolvedOptimizer, 'step'>,
    initial: InitialTensors,
  ) {
    super(network, layout, optimizer, initial)
    const { parameters, state, statistics } = initial
    this.arrays = new Map(this.shapes().map(([name, shape]) => [name, new Float32Array(elements(shape))]))
    for (const [name, view] of this.views(['', ...layout.states])) view.set(parameters[name] ?? state[name] ?? [])
    for (const { name } of layout.statistics) this.set(name, statistics[name] ?? new Float32Array(0))
  }

  /** The shape of every array, by name. */
  shapes(): [name: string, shape: readonly number[]][] {
    const states = ['', ...this.layout.states]
    return [
      ...this.layout.slots.flatMap(({ name, shape }) =>
        states.map((each): [string, readonly number[]] => [stateOf(name, each), shape]),
      ),
      ...this.layout.statistics.map(({ name, shape }): [string, readonly number[]] => [name, shape]),
    ]
  }

  values(name: string): Float32Array {
    return this.arrays.get(name) ?? new Float32Array(0)
  }

  drop(): void {
    this.arrays.clear()
  }
}
