import type { BenchCheck, BenchRow } from '../result.js'
import type { BenchModel } from './models.js'
import type { RuntimeName } from './subjects.js'

export interface PartOptions {
  readonly runtimes: readonly RuntimeName[]
  readonly models: readonly BenchModel[]
  readonly threads: number
  readonly progress: (line: string) => void
}

/** A part of the benchmark; each stands alone. */
export type Part = (options: PartOptions) => Promise<{ readonly rows: BenchRow[]; readonly checks: BenchCheck[] }>

/** Between the two nearest values where it lies between them; 0 is the least, 1 the most. */
export function quantile(values: readonly number[], at: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const place = (sorted.length - 1) * at
  const [low, high] = [sorted[Math.floor(place)] ?? Number.NaN, sorted[Math.ceil(place)] ?? Number.NaN]
  return low + (high - low) * (place - Math.floor(place))
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

export const percent = (ratio: number): string => `${(100 * ratio).toFixed(1)}%`
