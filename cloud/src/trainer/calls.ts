import type { Client } from '@tideway/client'
import { codeOf, type TidewayError } from '@tideway/core'

/** What a trainer node asks of the cloud. */
export type CloudCalls = Pick<
  Client,
  'job' | 'updateJob' | 'logMetrics' | 'metricHistory' | 'getBlob' | 'putBlob' | 'putChunks' | 'registerVersion'
>

export interface FollowedCalls {
  readonly client: CloudCalls
  /**
   * The cloud, the link or a proxy between could not answer: trying again can help. False for what the cloud refused,
   * and for whatever was thrown elsewhere, also with the same code or status.
   */
  isPassing(error: unknown): boolean
}

/** Request Timeout and Too Many Requests; every other 4xx says what is wrong with the request. */
const PASSING_REFUSALS: readonly number[] = [408, 429]

/** Remembers which errors came out of calls to the cloud: from their codes alone it cannot be told. */
export function followCalls(client: Client): FollowedCalls {
  const thrown = new WeakSet<Error>()
  const follow = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer
    } catch (error) {
      if (error instanceof Error) thrown.add(error)
      throw error
    }
  }
  return {
    client: {
      job: (id) => follow(client.job(id)),
      updateJob: (id, change) => follow(client.updateJob(id, change)),
      logMetrics: (id, points) => follow(client.logMetrics(id, points)),
      metricHistory: (id, key) => follow(client.metricHistory(id, key)),
      getBlob: (sha256) => follow(client.getBlob(sha256)),
      putBlob: (bytes, options) => follow(client.putBlob(bytes, options)),
      putChunks: (chunks, options) => follow(client.putChunks(chunks, options)),
      registerVersion: (model, entry) => follow(client.registerVersion(model, entry)),
    },
    isPassing(error) {
      if (!(error instanceof Error) || !thrown.has(error)) return false
      // No error of ours: the line broke off within an answer.
      if (codeOf(error) === undefined) return true
      const { status } = error as TidewayError
      return status >= 500 || PASSING_REFUSALS.includes(status)
    },
  }
}
