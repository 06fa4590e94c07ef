import { errors } from '../errors.js'

/** Enough to find the mistake; a batch of wrong rows must not answer with a page for each value. */
const MAX_ISSUES = 20

/** The bad fields of one document. Throws `INPUT_REJECTED` as soon as it is full, so that no more values are read. */
export class Issues {
  readonly #issues: string[] = []
  readonly #what: string

  constructor(what: string) {
    this.#what = what
  }

  add(issue: string): void {
    this.#issues.push(issue)
    if (this.#issues.length === MAX_ISSUES) this.throwIfAny()
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
