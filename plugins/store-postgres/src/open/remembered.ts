import type { Handle } from './handle.js'

const MAX_ANSWERS = 1_000

/**
 * Answers that hold until this process writes, of a database that no other process writes to. A query takes PGlite some
 * milliseconds of the main thread, and what runs models asks what has changed many times a minute.
 */
export class Remembered<T> {
  readonly #answers = new Map<string, T>()
  #writes = 0

  constructor(private readonly handle: Handle) {}

  /** After what was written is committed. */
  wrote(): void {
    this.#writes++
    this.#answers.clear()
  }

  /** The answer to this question, asked for where it is not known. */
  async get(question: string, ask: () => Promise<T>): Promise<T> {
    if (!this.handle.isSole) return ask()
    const known = this.#answers.get(question)
    if (known !== undefined) return known
    const writes = this.#writes
    const answer = await ask()
    // What was written meanwhile may be in it or not.
    if (writes !== this.#writes) return answer
    if (this.#answers.size >= MAX_ANSWERS) this.#answers.clear()
    this.#answers.set(question, answer)
    return answer
  }
}
