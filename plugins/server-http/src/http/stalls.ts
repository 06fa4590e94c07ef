/** Parts of the time after which a sender counts as silent. */
export const LOOKS = 4

export interface Awaited {
  /** Looks since something came. */
  looks: number
  readonly onStall: () => void
}

/**
 * Who waits for more of a body, looked over a few times in `idleMs`: a timer for each of them would cost more than it takes
 * most bodies to arrive. Silence is told after `idleMs`, and at most a quarter of it later.
 */
export class StallWatch {
  readonly #awaited = new Set<Awaited>()
  #timer: NodeJS.Timeout | undefined

  constructor(private readonly idleMs: number) {}

  /** To be told once, unless `heard` or `end` is called in time. */
  begin(onStall: () => void): Awaited {
    const awaited = { looks: 0, onStall }
    this.#awaited.add(awaited)
    // A connection that is waited for keeps the process; a look at none must not, or it would end seconds after its server.
    this.#timer ??= setInterval(() => this.#look(), this.idleMs / LOOKS).unref()
    return awaited
  }

  heard(awaited: Awaited): void {
    awaited.looks = 0
  }

  end(awaited: Awaited): void {
    this.#awaited.delete(awaited)
  }

  #look(): void {
    if (this.#awaited.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
    // The first look may come right behind the beginning.
    for (const awaited of this.#awaited)
      if (awaited.looks++ === LOOKS) {
        this.#awaited.delete(awaited)
        awaited.onStall()
      }
  }
}

const watches = new Map<number, StallWatch>()

/** The one for this time; there are as many as servers are configured differently. */
export function stallWatch(idleMs: number): StallWatch {
  const known = watches.get(idleMs)
  if (known) return known
  const watch = new StallWatch(idleMs)
  watches.set(idleMs, watch)
  return watch
}
