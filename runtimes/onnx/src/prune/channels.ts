import type { Tensor } from '@tideway/core'

/** Where a value has its channels, and which channel stands at each place of that axis. */
export interface Flow {
  readonly axis: number
  readonly ids: readonly number[]
}

/** A stored tensor whose places along an axis go with channels. */
export interface Slot {
  /** The first output of the node that takes it, and which of its inputs it is. */
  readonly node: string
  readonly place: number
  readonly axis: number
  readonly ids: readonly number[]
}

/** What makes a channel: the part of a kernel that a score is taken of. */
export interface Maker extends Slot {
  readonly label: string
  readonly name: string
  readonly tensor: Tensor
}

/**
 * All channels of a network. Those that are added to each other, or become one another, live and die together: a
 * union-find over single channels, so that concatenation, flattening and shuffling are lists of them.
 */
export class Channels {
  private readonly parents: number[] = []
  private readonly locked = new Set<number>()
  private readonly factors: number[] = []
  readonly slots: Slot[] = []
  readonly makers: Maker[] = []

  /** New channels, each on its own. */
  fresh(count: number): number[] {
    return Array.from({ length: count }, () => {
      this.factors.push(1)
      return this.parents.push(this.parents.length) - 1
    })
  }

  rootOf(id: number): number {
    let at = id
    for (let up = this.parents[at] ?? at; up !== at; up = this.parents[at] ?? at) {
      this.parents[at] = this.parents[up] ?? up
      at = up
    }
    return at
  }

  /** Channels at the same places become one. */
  unite(a: readonly number[], b: readonly number[]): void {
    for (const [place, id] of a.entries()) {
      const [one, other] = [this.rootOf(id), this.rootOf(b[place] ?? id)]
      if (one === other) continue
      this.parents[other] = one
      if (this.locked.has(other)) this.locked.add(one)
    }
  }

  /** These stay, whatever their weights are. */
  lock(flow: Flow | undefined): void {
    for (const id of flow?.ids ?? []) this.locked.add(this.rootOf(id))
  }

  isLocked(id: number): boolean {
    return this.locked.has(this.rootOf(id))
  }

  /** What a normalization behind a channel multiplies it with. */
  scale(id: number, factor: number): void {
    this.factors[id] = (this.factors[id] ?? 1) * factor
  }

  factorOf(id: number): number {
    return this.factors[id] ?? 1
  }
}
