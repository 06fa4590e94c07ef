import type { BenchCheck, BenchRow } from '../result.js'
import type { BenchModel } from '../runtimes/models.js'
import type { Server } from './servers.js'

export interface Part {
  readonly rows: readonly BenchRow[]
  readonly checks: readonly BenchCheck[]
}

/** How ours is started. */
export interface OursOptions {
  readonly cores?: string
  /** Of the data plane; 0: the cloud's own HTTP face. */
  readonly processes?: number
  readonly env?: NodeJS.ProcessEnv
}

/** What each part of the benchmark gets. */
export interface Setting {
  readonly progress: (line: string) => void
  readonly ours: (options?: OursOptions) => Promise<Server>
  readonly dense: BenchModel
  readonly resnet: BenchModel
  /** In which everything is measured in turn; medians count. */
  readonly rounds: number
  readonly args: readonly string[]
}

/** A whole number given by `--NAME N`. */
export function numberOf(args: readonly string[], name: string, otherwise: number): number {
  const at = args.indexOf(name)
  if (at < 0) return otherwise
  const value = Number(args[at + 1])
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} takes a whole number of at least 1`)
  return value
}

/** How long one measurement takes. */
export const SECONDS = 2

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length / 2
  return ((sorted[Math.ceil(half) - 1] as number) + (sorted[Math.floor(half)] as number)) / 2
}

/** What was measured in every round, by name. */
export class Rounds {
  private readonly values = new Map<string, number[]>()

  note(name: string, value: number): void {
    this.values.set(name, [...(this.values.get(name) ?? []), value])
  }

  last(name: string): number {
    return this.values.get(name)?.at(-1) ?? Number.NaN
  }

  /** NaN for what was not measured, with which no check holds. */
  median(name: string): number {
    const values = this.values.get(name)
    return values ? median(values) : Number.NaN
  }

  /** The one of these with the highest median. */
  best(names: readonly string[]): string {
    return names.toSorted((a, b) => this.median(b) - this.median(a))[0] as string
  }

  rows(of: string, unit: 'requestsPerSecond' | 'ms'): BenchRow[] {
    return [...this.values].map(([server, values]) => ({
      case: of,
      server,
      [unit]: median(values),
      least: Math.min(...values),
      most: Math.max(...values),
    }))
  }
}

/** Ours, as it may be started: its own HTTP face, and the data plane with so many processes. */
export const PROCESSES = [0, 1, 2] as const
export const nameOf = (processes: number): string =>
  processes === 0 ? 'ours (own face)' : `ours (data plane of ${processes})`
