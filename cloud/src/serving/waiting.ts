import type { InferContext, Tensors } from '@tideway/core'

/** Until when a request is worth running: `deadlineMs` on the clock of `performance.now()`, `signal` once nobody waits. */
export type Patience = Pick<InferContext, 'deadlineMs' | 'signal'>

/**
 * Why a batch was closed: nothing else waited (`free`), no more rows fit (`full`), the first had waited long enough
 * (`delay`), what came next has rows of another shape (`shape`), or the model takes no batches (`alone`).
 */
export type Closed = 'free' | 'full' | 'delay' | 'shape' | 'alone'

/** A request whose run has not begun. */
export interface Waiting<Answer> {
  readonly inputs: Tensors
  readonly rows: number
  /** Those alike may go together; undefined goes with none. */
  readonly alike: string | undefined
  /** On the clock of `performance.now()`, as all times here. */
  readonly since: number
  /** Nothing ran and nothing waited when it came. */
  readonly foundIdle: boolean
  readonly patience: Patience
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/** Whether it is not to be run any more: it is late, or whoever asked has gone. */
export function isGone(patience: Patience, now: number): boolean {
  return isLate(patience, now) || patience.signal?.aborted === true
}

export function isLate({ deadlineMs }: Patience, now: number): boolean {
  return deadlineMs !== undefined && deadlineMs <= now
}

/** Requests in the order in which they came, and how many rows they have in all. */
export class WaitingLine<Answer> {
  #requests: Waiting<Answer>[] = []
  #rows = 0

  get requests(): readonly Waiting<Answer>[] {
    return this.#requests
  }

  get rows(): number {
    return this.#rows
  }

  push(request: Waiting<Answer>): void {
    this.#requests.push(request)
    this.#rows += request.rows
  }

  /** Takes the first ones off the line. */
  shift(count: number): readonly Waiting<Answer>[] {
    return this.#left(this.#requests.splice(0, count))
  }

  /** Takes those off the line that are not to be run any more. */
  dropGone(now: number): readonly Waiting<Answer>[] {
    if (!this.#requests.some((request) => isGone(request.patience, now))) return []
    const [gone, stay]: [Waiting<Answer>[], Waiting<Answer>[]] = [[], []]
    for (const request of this.#requests) (isGone(request.patience, now) ? gone : stay).push(request)
    this.#requests = stay
    return this.#left(gone)
  }

  #left(requests: readonly Waiting<Answer>[]): readonly Waiting<Answer>[] {
    for (const { rows } of requests) this.#rows -= rows
    return requests
  }
}

/** What goes into the next run: how many requests from the front of a line that is not empty. */
export function gather<Answer>(
  requests: readonly Waiting<Answer>[],
  maxRows: number,
): { readonly count: number; readonly rows: number; readonly closed: Closed } {
  const { alike, rows: firstRows } = requests[0] as Waiting<Answer>
  if (alike === undefined) return { count: 1, rows: firstRows, closed: 'alone' }
  let [count, rows] = [1, firstRows]
  for (; count < requests.length; count++) {
    const request = requests[count] as Waiting<Answer>
    if (rows + request.rows > maxRows) return { count, rows, closed: 'full' }
    if (request.alike !== alike) return { count, rows, closed: 'shape' }
    rows += request.rows
  }
  return { count, rows, closed: rows >= maxRows ? 'full' : 'free' }
}

/** When the first of them is late; undefined where none has a deadline. */
export function earliestDeadline(requests: readonly { readonly patience: Patience }[]): number | undefined {
  let earliest: number | undefined
  for (const { patience } of requests)
    if (patience.deadlineMs !== undefined && (earliest === undefined || patience.deadlineMs < earliest))
      earliest = patience.deadlineMs
  return earliest
}
