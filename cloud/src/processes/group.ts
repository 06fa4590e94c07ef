import type {
  MetricReading,
  Metrics,
  ModelStat,
  ServedVersion,
  Serving,
  Statistics,
  Traffic,
  TrafficView,
} from '@tideway/core'
import { codeOf } from '@tideway/core/serving'

/** What the processes that serve the same models ask of one another. */
export interface ServingProcess {
  statistics(): Promise<readonly ModelStat[]>
  /** What it counted, for the one that tells of all. */
  metrics(): Promise<readonly MetricReading[]>
  index(): Promise<readonly ServedVersion[]>
  load(model: string): Promise<void>
  unload(model: string): Promise<void>
  /** Of this process alone. */
  traffic(model: string): Promise<TrafficView>
}

export interface ProcessParts {
  readonly serving: Required<Serving>
  readonly statistics: Statistics
  readonly traffic: Pick<Traffic, 'here'>
  readonly metrics?: Metrics
}

/** A process's own part of what `ServingGroup` asks of all. */
export function processOf({ serving, statistics, traffic, metrics }: ProcessParts): ServingProcess {
  return {
    statistics: async () => statistics.toJson(),
    metrics: async () => (await metrics?.readings?.()) ?? [],
    index: () => serving.index(),
    load: (model) => serving.load(model),
    unload: (model) => serving.unload(model),
    traffic: (model) => traffic.here(model),
  }
}

/** All processes as one: what is loaded is loaded in each of them, and what they counted adds up. */
export class ServingGroup implements Omit<ServingProcess, 'metrics' | 'traffic'> {
  /** Models that are unloaded, for processes that come later. */
  private readonly unloaded = new Set<string>()

  constructor(private readonly processes: () => readonly ServingProcess[]) {}

  async statistics(): Promise<readonly ModelStat[]> {
    return (await this.all((one) => one.statistics())).flat()
  }

  /** A version is ready when it is in one process: the others load it when they are asked for it. */
  async index(): Promise<readonly ServedVersion[]> {
    const [first = [], ...others] = await this.all((one) => one.index())
    const keyOf = ({ model, version }: ServedVersion) => `${model} ${version}`
    const maps = others.map((list) => new Map(list.map((entry) => [keyOf(entry), entry])))
    return first.map((entry) => {
      const everywhere = [entry, ...maps.flatMap((map) => map.get(keyOf(entry)) ?? [])]
      return everywhere.toSorted((a, b) => RANK[a.state] - RANK[b.state])[0] ?? entry
    })
  }

  async load(model: string): Promise<void> {
    const wasUnloaded = this.unloaded.delete(model)
    try {
      await this.all((one) => one.load(model))
    } catch (error) {
      if (wasUnloaded) this.unloaded.add(model)
      throw error
    }
  }

  async unload(model: string): Promise<void> {
    const isNew = !this.unloaded.has(model)
    this.unloaded.add(model)
    try {
      await this.all((one) => one.unload(model))
    } catch (error) {
      if (isNew) this.unloaded.delete(model)
      throw error
    }
  }

  /**
   * Unloads in a process what is unloaded in the others, before it is one of them: also what is unloaded, or loaded again,
   * meanwhile. A model that has gone from the registry is no reason not to take it.
   */
  async catchUp(process: Pick<ServingProcess, 'load' | 'unload'>): Promise<void> {
    const done = new Set<string>()
    for (;;) {
      const next = [...this.unloaded].find((model) => !done.has(model))
      const again = [...done].find((model) => !this.unloaded.has(model))
      if (next !== undefined) {
        done.add(next)
        await process.unload(next).catch(unlessEnded)
      } else if (again !== undefined) {
        done.delete(again)
        await process.load(again).catch(unlessEnded)
      } else return
    }
  }

  traffic(model: string): Promise<readonly TrafficView[]> {
    return this.all((one) => one.traffic(model))
  }

  /** Of those that do not end meanwhile: what they had is gone with them. */
  private async all<T>(ask: (one: ServingProcess) => Promise<T>): Promise<T[]> {
    const asked = this.processes().map((one) =>
      ask(one).catch((error: unknown) => {
        if (codeOf(error) !== 'SERVING_PROCESS_ENDED') throw error
        return ENDED
      }),
    )
    return (await Promise.all(asked)).filter((answer): answer is Awaited<T> => answer !== ENDED)
  }
}

function unlessEnded(error: unknown): void {
  if (codeOf(error) === 'SERVING_PROCESS_ENDED') throw error
}

/** Of several states the first is that of the group. */
const RANK: Readonly<Record<ServedVersion['state'], number>> = { ready: 0, loading: 1, unavailable: 2 }
const ENDED = Symbol('ended')

/** Serving as this process does it, but for what concerns all of them. */
export function grouped(serving: Serving, group: Pick<ServingProcess, 'index' | 'load' | 'unload'>): Serving {
  return {
    ...serving,
    index: () => group.index(),
    load: (model) => group.load(model),
    unload: (model) => group.unload(model),
  }
}
