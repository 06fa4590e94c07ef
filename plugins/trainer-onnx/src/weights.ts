import type { TrainJob } from '@tideway/core'
import { Tensor } from 'onnxruntime-node'
import { nextOf } from './graphs.js'
import { elements, layoutOf, type Slot } from './layout.js'
import { parametersOf } from './network.js'
import { glorotUniform } from './random.js'

type Arrays = Readonly<Record<string, Float32Array>>
type Feeds = Record<string, Tensor>

/**
 * Parameters and optimizer state in two sets of buffers: each step reads one and writes the other, then they swap.
 * ONNX Runtime reads and writes the arrays in place, so no parameter is copied by JavaScript.
 */
export class Weights {
  private readonly slots: readonly Slot[]
  private readonly states: readonly string[]
  private readonly sets: readonly [Feeds, Feeds]
  private readonly outputs: readonly [Feeds, Feeds]
  private side: 0 | 1 = 0

  constructor(job: TrainJob, parameters: Arrays, state: Arrays) {
    const { slots, states } = layoutOf(job)
    this.slots = slots
    this.states = states
    this.sets = [this.allocate(), this.allocate()]
    const named = (set: Feeds): Feeds =>
      Object.fromEntries(Object.entries(set).map(([name, tensor]) => [nextOf(name), tensor]))
    this.outputs = [named(this.sets[1]), named(this.sets[0])]
    for (const [name, view] of this.views(['', ...states])) view.set(parameters[name] ?? state[name] ?? [])
  }

  /** Which of the two sets holds the current values. */
  get parity(): 0 | 1 {
    return this.side
  }

  /** What a step takes on a side, and where it writes. */
  feeds(side: 0 | 1): { readonly input: Feeds; readonly output: Feeds } {
    return { input: this.sets[side], output: this.outputs[side] }
  }

  /** Every parameter and state: the input of a step, and the output that is the next step's. */
  get carried(): ReadonlyMap<string, string> {
    return new Map(Object.keys(this.sets[0]).map((name) => [name, nextOf(name)]))
  }

  swap(): void {
    this.side = this.side === 0 ? 1 : 0
  }

  /** The current parameters as tensors, without optimizer state: what evaluation takes. */
  current(): Feeds {
    const shapes = new Map(this.slots.flatMap(({ members }) => members.map(({ name, shape }) => [name, shape])))
    return Object.fromEntries(
      this.views(['']).map(([name, view]) => [name, new Tensor('float32', view, shapes.get(name) ?? [])]),
    )
  }

  /** Copies of the current parameters. */
  parameters(): Record<string, Float32Array> {
    return Object.fromEntries(this.views(['']).map(([name, view]) => [name, view.slice()]))
  }

  /** Copies of the current optimizer state, by `<parameter>_<state>`. */
  state(): Record<string, Float32Array> {
    return Object.fromEntries(this.views(this.states).map(([name, view]) => [name, view.slice()]))
  }

  private allocate(): Feeds {
    const keys = this.slots.flatMap(({ name, shape }) =>
      ['', ...this.states].map((state) => [suffixed(name, state), shape] as const),
    )
    return Object.fromEntries(
      keys.map(([key, shape]) => [key, new Tensor('float32', new Float32Array(elements(shape)), shape)]),
    )
  }

  /** Views of each parameter, or of its state by that name, in the current set. */
  private views(states: readonly string[]): [name: string, view: Float32Array][] {
    const set = this.sets[this.side]
    return states.flatMap((state) =>
      this.slots.flatMap(({ name, members }) => {
        const whole = set[suffixed(name, state)]?.data as Float32Array
        let at = 0
        return members.map((member): [string, Float32Array] => {
          const begin = at
          at += elements(member.shape)
          return [suffixed(member.name, state), whole.subarray(begin, at)]
        })
      }),
    )
  }
}

const suffixed = (name: string, state: string): string => (state === '' ? name : `${name}_${state}`)

/** Keras's initial weights for a seed. */
export function initialParameters(job: TrainJob): Record<string, Float32Array> {
  const entries = parametersOf(job.network).map(({ name, shape, initial }, place) => {
    const [inputs, units] = [shape[0] ?? 1, shape[1] ?? 1]
    return [
      name,
      initial === 'zero' ? new Float32Array(elements(shape)) : glorotUniform(inputs, units, job.seed, place),
    ] as const
  })
  return Object.fromEntries(entries)
}
