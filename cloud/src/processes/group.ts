import type { MetricReading, Metrics, ModelStat, ServedVersion, Serving, Statistics } from '@tideway/core'

/** What the processes that serve the same models ask of one another. */
export interface ServingProcess {
  statistics(): Promise<readonly ModelStat[]>
  /** What it counted, for the one that tells of all. */
  metrics(): Promise<readonly MetricReading[]>
  index(): Promise<readonly ServedVersion[]>
  load(model: string): Promise<void>
  unload(model: string): Promise<void>
}

/** A process's own part of what `ServingGroup` asks of all. */
export function processOf(serving: Required<Serving>, statistics: Statistics, metrics?: Metrics): ServingProcess {
  return {
    statistics: async () => statistics.toJson(),
    metrics: async () => (await metrics?.readings?.()) ?? [],
    index: () => serving.index(),
    load: (model) => serving.load(model),
    unload: (model) => serving.unload(model),
  }
}

/** All processes as one: what is loaded is loaded in each of them, and what they counted adds up. */
export class ServingGroup implements Omit<ServingProcess, 'metrics'> {
  constructor(private readonly processes: () => readonly ServingProcess[]) {}

  async statistics(): Promise<readonly ModelStat[]> {
    return (await this.all((one) => one.statistics())).flat()
  }

  /** A version is ready when it is in all processes, and loading when it is in one. */
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
    await this.all((one) => one.load(model))
  }

  async unload(model: string): Promise<void> {
    await this.all((one) => one.unload(model))
  }

  private all<T>(ask: (one: ServingProcess) => Promise<T>): Promise<T[]> {
    return Promise.all(this.processes().map(ask))
  }
}

/** Of several states the first is that of the group. */
const RANK: Readonly<Record<ServedVersion['state'], number>> = { loading: 0, unavailable: 1, ready: 2 }

/** Serving as this process does it, but for what concerns all of them. */
export function grouped(
  serving: Serving,
  { index, load, unload }: Pick<ServingProcess, 'index' | 'load' | 'unload'>,
): Serving {
  return {
    metadata: (...args) => serving.metadata(...args),
    infer: (...args) => serving.infer(...args),
    index,
    load,
    unload,
  }
}
