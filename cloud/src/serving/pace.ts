/** How much the run before counts against the one that is observed: of the last twenty or so something is left. */
const MEMORY = 0.9

/**
 * How long runs of a model take by their rows: a part that every run costs and a part for each row, fitted by least squares
 * to the runs seen, older ones counting less. While all runs had as many rows, nothing is known of a row's part: it is taken
 * to be nothing, so that what is expected is rather too short than too long.
 *
 * @example
 * pace.observe(32, 4.2)
 * pace.of(8) // milliseconds
 */
export class Pace {
  #rows = 0
  #ms = 0
  #rowsRows = 0
  #rowsMs = 0
  #isNew = true

  observe(rows: number, ms: number): void {
    const old = this.#isNew ? 0 : MEMORY
    const mean = (before: number, value: number) => old * before + (1 - old) * value
    this.#rows = mean(this.#rows, rows)
    this.#ms = mean(this.#ms, ms)
    this.#rowsRows = mean(this.#rowsRows, rows * rows)
    this.#rowsMs = mean(this.#rowsMs, rows * ms)
    this.#isNew = false
  }

  /** Milliseconds that a run of so many rows is expected to take; 0 before the first. */
  of(rows: number): number {
    const spread = this.#rowsRows - this.#rows * this.#rows
    // Of equal numbers of rows only what rounding leaves.
    if (spread <= 1e-9 * this.#rowsRows) return this.#ms
    const row = (this.#rowsMs - this.#rows * this.#ms) / spread
    const each = this.#ms - row * this.#rows
    if (row <= 0) return this.#ms
    return each <= 0 ? (rows * this.#ms) / this.#rows : each + row * rows
  }
}
