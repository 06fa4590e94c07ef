import type {
  AbOutcome,
  AbReceipt,
  AbTestView,
  abDeclarationSchema,
  TrafficRecord,
  TrafficView,
  trafficRequestSchema,
} from '@tideway/core'
import { type Http, path } from './http.js'

/** A traffic policy as it is asked for; versions by number or alias. */
export type TrafficOrder = (typeof trafficRequestSchema)['_input']
/** An A/B test as it is declared. */
export type AbTestOrder = (typeof abDeclarationSchema)['_input']

/** Which version answers requests that name none, and A/B tests between two of them. */
export interface TrafficClient {
  /** Throws `MODEL_NOT_FOUND`. */
  traffic(model: string): Promise<TrafficView>
  trafficHistory(model: string): Promise<TrafficRecord[]>
  /** Throws `TRAFFIC_REFUSED`, `TRAFFIC_CHANGED`, `TRAFFIC_UNDER_TEST`, `INPUT_REJECTED`. */
  setTraffic(model: string, policy: TrafficOrder): Promise<TrafficView>
  /** Blue-green: the other version, or the one named; a canary: another percentage. Throws as `setTraffic`. */
  switchTraffic(
    model: string,
    change?: { readonly active: 'blue' | 'green' } | { readonly percent: number },
  ): Promise<TrafficView>
  /** Back to what `latest` names. */
  clearTraffic(model: string): Promise<TrafficView>
  /** Throws `AB_TEST_RUNNING`, `TRAFFIC_REFUSED`, `INPUT_REJECTED`, `VERSION_NOT_FOUND`. */
  startAbTest(model: string, declaration: AbTestOrder): Promise<AbTestView>
  /** The newest. Throws `AB_TEST_NOT_FOUND`. */
  abTest(model: string): Promise<AbTestView>
  /** At most 10,000 at once. Throws `AB_TEST_ENDED`. */
  reportOutcomes(model: string, outcomes: readonly AbOutcome[]): Promise<AbReceipt>
  /** Throws `AB_TEST_NOT_DECIDED`. */
  promoteAbTest(model: string, options?: { readonly force?: boolean }): Promise<AbTestView>
  stopAbTest(model: string): Promise<AbTestView>
}

export function createTrafficClient({ json }: Http): TrafficClient {
  const of = (model: string, ...segments: readonly string[]) => path('v1', 'models', model, ...segments)
  const post = <T>(at: string, body: unknown) => json<T>(at, { method: 'POST', json: body })
  return {
    traffic: (model) => json(of(model, 'traffic')),
    trafficHistory: async (model) =>
      (await json<{ history: TrafficRecord[] }>(of(model, 'traffic', 'history'))).history,
    setTraffic: (model, policy) => json(of(model, 'traffic'), { method: 'PUT', json: policy }),
    switchTraffic: (model, change = {} as never) => post(of(model, 'traffic', 'switch'), change),
    clearTraffic: (model) => json(of(model, 'traffic'), { method: 'DELETE' }),
    startAbTest: (model, declaration) => post(of(model, 'ab-test'), declaration),
    abTest: (model) => json(of(model, 'ab-test')),
    reportOutcomes: (model, outcomes) => post(of(model, 'outcomes'), { outcomes }),
    promoteAbTest: (model, options = {}) => post(of(model, 'ab-test', 'promote'), options),
    stopAbTest: (model) => post(of(model, 'ab-test', 'stop'), {}),
  }
}
