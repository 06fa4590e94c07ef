/** A row's figures, and what names it: engine, network, devices, ... */
export type BenchRow = Readonly<Record<string, string | number | boolean | null>>

/** What a benchmark promises: `value` at least or at most this; `aim` is where we want to be. Ratios of one run. */
export interface BenchCheck {
  readonly id: string
  readonly value: number
  readonly atLeast?: number
  readonly atMost?: number
  readonly aim?: number
}

export interface BenchResult {
  readonly bench: string
  readonly machine: Readonly<Record<string, string | number>>
  readonly rows: readonly BenchRow[]
  readonly checks: readonly BenchCheck[]
}

/** A benchmark: `progress` writes a line to stderr. */
export type Bench = (
  progress: (line: string) => void,
  args: readonly string[],
) => Promise<Omit<BenchResult, 'bench' | 'machine'>>
