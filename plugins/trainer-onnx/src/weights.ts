import { Tensor } from 'onnxruntime-node'
import { nextOf, stateOf } from './graphs/names.js'
import { elements, type Layout } from './layout.js'
import { STREAM, words } from './random.js'
import type { Trainable } from './trainable.js'

export type Arrays = Readonly<Record<string, Float32Array>>
type Feeds = Record<string, Tensor>

/**
 * Parameters, optimizer state and statistics in two sets of buffers: each step reads one and writes the other, then they
 * swap. ONNX Runtime reads and writes the arrays in place, so no parameter is copied by JavaScript.
 */
export class Weights {
  private readonly sets: readonly [Feeds, Feeds]
  private readonly frozen: Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>>
  private side: 0 | 1 = 0

  constructor(
    network: Trainable,
    private readonly layout: Layout,
    parameters: Arrays,
    state: Arrays,
    statistics: Arrays,
  ) {
    this.frozen = Object.fromEntries(
      network.parameters
        .filter(({ trainable }) => !trainable)
        .map(({ name, shape }) => [name, { shape, data: parameters[name] ?? new Float32Array(elements(shape)) }]),
    )
    this.sets = [this.allocate(), this.allocate()]
    for (const [name, view] of this.views(['', ...layout.states])) view.set(parameters[name] ?? state[name] ?? [])
    // A statistic that no step changes is read from either set.
    for (const set of this.sets)
      for (const { name } of layout.statistics) numbersOf(set, name).set(statistics[name] ?? [])
  }

  /** Which of the two sets holds the current values. */
  get parity(): 0 | 1 {
    return this.side
  }

  /** What a step takes on a side. */
  taken(side: 0 | 1): Readonly<Feeds> {
    return this.sets[side]
  }

  /** Where a step that takes from a side writes those that it changes. */
  written(side: 0 | 1, changed: ReadonlySet<string>): Readonly<Feeds> {
    const other = Object.entries(this.sets[side === 0 ? 1 : 0])
    return Object.fromEntries(other.flatMap(([name, tensor]) => (changed.has(name) ? [[nextOf(name), tensor]] : [])))
  }

  swap(): void {
    this.side = this.side === 0 ? 1 : 0
  }

  frozenValues(name: string): Float32Array {
    return this.frozen[name]?.data ?? new Float32Array(0)
  }

  /** The current parameters and statistics as tensors, without optimizer state: what evaluation takes. */
  current(): Feeds {
    const shapes = new Map(this.layout.slots.flatMap(({ members }) => members.map(({ name, shape }) => [name, shape])))
    const tensors = this.views(['']).map(([name, view]) => [name, new Tensor('float32', view, shapes.get(name) ?? [])])
    const kept = Object.entries(this.frozen).map(([name, { shape, data }]) => [
      name,
      new Tensor('float32', data, shape),
    ])
    const set = this.sets[this.side]
    return Object.fromEntries([...tensors, ...kept, ...this.layout.statistics.map(({ name }) => [name, set[name]])])
  }

  /** Copies of the current parameters, the frozen ones too. */
  parameters(): Record<string, Float32Array> {
    const kept = Object.entries(this.frozen).map(([name, { data }]): [string, Float32Array] => [name, data])
    return Object.fromEntries([...this.views(['']), ...kept].map(([name, view]) => [name, view.slice()]))
  }

  /** Copies of the current optimizer state, by `<parameter>_<state>`. */
  state(): Record<string, Float32Array> {
    return Object.fromEntries(this.views(this.layout.states).map(([name, view]) => [name, view.slice()]))
  }

  /** Copies of the current statistics. */
  statistics(): Record<string, Float32Array> {
    const set = this.sets[this.side]
    return Object.fromEntries(this.layout.statistics.map(({ name }) => [name, numbersOf(set, name).slice()]))
  }

  private allocate(): Feeds {
    const { slots, states, statistics } = this.layout
    const keys = [
      ...slots.flatMap(({ name, shape }) => ['', ...states].map((state) => [stateOf(name, state), shape] as const)),
      ...statistics.map(({ name, shape }) => [name, shape] as const),
    ]
    return Object.fromEntries(
      keys.map(([key, shape]) => [key, new Tensor('float32', new Float32Array(elements(shape)), shape)]),
    )
  }

  /** Views of each trained parameter, or of its state by that name, in the current set. */
  private views(states: readonly string[]): [name: string, view: Float32Array][] {
    const set = this.sets[this.side]
    return states.flatMap((state) =>
      this.layout.slots.flatMap(({ name, members }) => {
        const whole = numbersOf(set, stateOf(name, state))
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

/** The numbers of a tensor that was allocated with all others. */
const numbersOf = (set: Feeds, name: string): Float32Array => (set[name] as Tensor).data as Float32Array

/** What a network's parameters are before training, for a seed. */
export function initialValues(
  { parameters }: Pick<Trainable, 'parameters'>,
  seed: number,
): Record<string, Float32Array> {
  return Object.fromEntries(
    parameters.map((spec, place) => {
      const next = words(seed, STREAM.initialization, place)
      return [spec.name, spec.initial(() => next() / 2 ** 32)]
    }),
  )
}

/** What its statistics are before training, fitted on the training rows where the network says so. */
export function initialStatistics(
  network: Trainable,
  inputs: Parameters<NonNullable<Trainable['fit']>>[0],
): Record<string, Float32Array> {
  const fitted = network.fit?.(inputs)
  return Object.fromEntries(network.statistics.map((spec) => [spec.name, fitted?.get(spec.name) ?? spec.initial()]))
}
