/** Bad values of one column and kind. */
export interface BadCount {
  readonly column: string
  readonly kind: string
  readonly count: number
}

/** What loading left out, and what it read past. */
export interface LoadReport {
  readonly file: string
  /** Rows that were kept. */
  readonly rows: number
  /** Rows that were left out because a value breaks the schema. */
  readonly dropped: number
  /** Bad values by column and kind; a dropped row may have several. */
  readonly bad: readonly BadCount[]
  /** The first bad values, by place: `line 3, price: text, must be a number`. Never the value itself. */
  readonly issues: readonly string[]
}

const NAMED = 20
const COUNTED = 4096

/** Collects what breaks a schema, in bounded memory. */
export class BadRows {
  readonly issues: string[] = []
  dropped = 0
  private readonly counts = new Map<string, { column: string; kind: string; count: number }>()

  /** Notes a value by its kind; `where` is `line 3`. */
  add(where: string, column: string, kind: string, must: string): void {
    if (this.issues.length < NAMED) this.issues.push(`${where}, ${column}: ${kind}, must be ${must}`)
    const key = JSON.stringify([column, kind])
    const known = this.counts.get(key)
    if (known !== undefined) known.count++
    else if (this.counts.size < COUNTED) this.counts.set(key, { column, kind, count: 1 })
  }

  get bad(): BadCount[] {
    return [...this.counts.values()].map((count) => ({ ...count }))
  }

  report(file: string, rows: number): LoadReport {
    return { file, rows, dropped: this.dropped, bad: this.bad, issues: this.issues }
  }
}
