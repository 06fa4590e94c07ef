import type { ChunkStore, ResolvedServing, Traffic, TrafficStore } from '@tideway/core'
import { trafficControl } from '../traffic/control.js'
import { ResponseCache } from './cache.js'
import { createServing, type ServingParts, type ServingService } from './service.js'
import { storedModels } from './stored.js'

export interface StoredParts extends Pick<ServingParts, 'registry' | 'runtime' | 'logger' | 'metrics'> {
  readonly chunks: () => Pick<ChunkStore, 'get'>
  readonly trafficStore: () => TrafficStore
}

export interface StoredService extends ServingService {
  readonly traffic: Traffic
}

/** Online inference of the versions in a store, under the traffic policies that are in it. */
export function createStoredServing(
  config: ResolvedServing,
  { chunks, trafficStore, ...parts }: StoredParts,
): StoredService {
  let traffic: Traffic | undefined
  const service = createServing(config, {
    ...parts,
    source: () => storedModels(chunks(), parts.runtime()),
    cache: config.cache && new ResponseCache(config.cache),
    control(around) {
      const control = trafficControl({ ...around, store: trafficStore })
      traffic = control.traffic
      return control
    },
  })
  return { ...service, traffic: traffic as Traffic }
}
