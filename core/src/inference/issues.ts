import { errors } from '../errors.js'

/** Enough to find the mistake; a batch of wrong rows must not answer with a page for each value. */
const MAX_ISSUES = 20

/** The bad fields of one document. Throws `INPUT_REJECTED` as soon as it is full, so that no more values are read. */
export class Issues {
  readonly #issues: string[] = []
  readonly #what: string
  readonly #max: number

  constructor(what: string, max: number = MAX_ISSUES) {
    this.#what = what
    this.#max = max
  }

  get isEmpty(): boolean {
    return this.#issues.length === 0
  }

  add(issue: string): void {
    this.#issues.push(issue)
    if (this.#issues.length === this.#max) this.throwIfAny()
  }

  /** Throws `INPUT_REJECTED` naming all that were added. */
  throwIfAny(): void {
    if (this.#issues.length > 0) throw this.error()
  }

  /** `INPUT_REJECTED` naming all that were added, for where reading cannot go on. */
  error(): Error {
    return errors.INPUT_REJECTED({ what: this.#what, issues: this.#issues })
  }
}

/** A name from outside as it may stand in a message. */
export function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 80))
}

/** A JSON object, not a list. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
