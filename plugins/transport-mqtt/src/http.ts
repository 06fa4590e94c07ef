import {
  type Ack,
  ackSchema,
  errors as coreErrors,
  type DesiredState,
  desiredSchema,
  type Envelope,
  idSchema,
  limits,
  parseJson,
  type ReportedState,
  sha256Schema,
} from '@tideway/core'
import { z } from 'zod'
import { errors } from './errors.js'

const wireSchema = z.looseObject({ transport: z.string(), mqttUrl: z.string().optional() })
const acksSchema = z.looseObject({
  acks: z.array(z.looseObject({ fleet: idSchema, device: idSchema, ack: ackSchema })).max(limits.maxReportsPerRequest),
})
/** A refusal; of its data, only what an altered chunk was found to be. */
const problemSchema = z.looseObject({
  error: z.looseObject({ code: z.string(), data: z.looseObject({ actual: sha256Schema.optional() }).optional() }),
})
const MAX_SMALL_ANSWER_BYTES = 64 * 1024

/** The HTTP half of an MQTT device's wire. Every call throws `LINK_UNAVAILABLE` when the cloud cannot be reached. */
export interface CloudHttp {
  /** The MQTT address that the cloud names; throws `MQTT_ADDRESS_UNKNOWN`. */
  mqttUrl(signal?: AbortSignal): Promise<string>
  desired(signal?: AbortSignal): Promise<DesiredState | undefined>
  chunk(sha256: string, options: { signal?: AbortSignal; timeoutMs: number }): Promise<Uint8Array>
  report(envelopes: readonly Envelope[], signal?: AbortSignal): Promise<Ack[]>
  setReported(reported: ReportedState, signal?: AbortSignal): Promise<void>
  /** Whether the last exchange got an answer. */
  reachable(): boolean
}

export function cloudHttp(options: {
  cloudUrl: string
  fleet: string
  device: string
  token?: string | undefined
  timeoutMs: number
}): CloudHttp {
  const { fleet, device } = options
  const base = options.cloudUrl.replace(/\/+$/, '')
  let reachable = false

  async function exchange<T>(
    path: string,
    init: RequestInit & { timeoutMs?: number; signal?: AbortSignal | undefined },
    read: (response: Response, url: string) => Promise<T>,
  ): Promise<T> {
    const url = base + path
    // It refuses fractions, which a measured time-out has.
    const timeout = AbortSignal.timeout(Math.ceil(init.timeoutMs ?? options.timeoutMs))
    const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout
    const headers = {
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
    }
    try {
      const response = await fetch(url, { ...init, signal, headers })
      const result = await read(response, url)
      reachable = true
      return result
    } catch (cause) {
      if (cause instanceof Error && cause.name === 'TidewayError') {
        reachable = true
        throw cause
      }
      init.signal?.throwIfAborted()
      reachable = false
      throw coreErrors.LINK_UNAVAILABLE({ url: base }, cause)
    }
  }

  return {
    reachable: () => reachable,
    mqttUrl: (signal) =>
      exchange('/v1/wire', { signal }, async (response, url) => {
        if (!response.ok) throw await refusal(response, url)
        const wire = parseJson(
          wireSchema,
          await bodyOf(response, MAX_SMALL_ANSWER_BYTES, 'wire'),
          'wire',
          MAX_SMALL_ANSWER_BYTES,
        )
        if (wire.mqttUrl === undefined) throw errors.MQTT_ADDRESS_UNKNOWN({ url: base })
        return wire.mqttUrl
      }),
    desired: (signal) =>
      exchange(`/v1/devices/${device}/desired?fleet=${fleet}`, { signal }, async (response, url) => {
        if (response.status === 404) {
          await response.body?.cancel()
          return undefined
        }
        if (!response.ok) throw await refusal(response, url)
        const bytes = await bodyOf(response, limits.maxDesiredBytes, 'desired state')
        return parseJson(desiredSchema, bytes, 'desired state', limits.maxDesiredBytes)
      }),
    chunk: (sha256, { signal, timeoutMs }) =>
      exchange(`/v1/chunks/${sha256}`, { signal, timeoutMs }, async (response, url) => {
        if (response.status === 404) {
          await response.body?.cancel()
          throw coreErrors.CHUNK_NOT_FOUND({ sha256 })
        }
        if (!response.ok) throw await chunkRefusal(response, url, sha256)
        return bodyOf(response, limits.maxChunkBytes, 'chunk')
      }),
    report: (envelopes, signal) =>
      exchange(
        `/v1/devices/${device}/reports`,
        { signal, method: 'POST', body: JSON.stringify({ reports: envelopes }) },
        async (response, url) => {
          if (!response.ok) throw await refusal(response, url)
          const bytes = await bodyOf(response, limits.maxJsonBodyBytes, 'acknowledgements')
          const { acks } = parseJson(acksSchema, bytes, 'acknowledgements', limits.maxJsonBodyBytes)
          return acks.filter((item) => item.fleet === fleet && item.device === device).map((item) => item.ack)
        },
      ),
    setReported: (reported, signal) =>
      exchange(
        `/v1/devices/${device}/reported`,
        { signal, method: 'PUT', body: JSON.stringify(reported) },
        async (response, url) => {
          if (!response.ok) throw await refusal(response, url)
          await response.body?.cancel()
        },
      ),
  }
}

/** Reads a body, giving up with `TOO_LARGE` as soon as it has more than `maxBytes`. */
async function bodyOf(response: Response, maxBytes: number, what: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let bytes = 0
  const reader = response.body?.getReader()
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    bytes += part.value.byteLength
    if (bytes > maxBytes) {
      await reader?.cancel()
      throw coreErrors.TOO_LARGE({ what, bytes, maxBytes })
    }
    parts.push(part.value)
  }
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}

interface Problem {
  readonly code: string
  readonly actual?: string
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const bytes = await bodyOf(response, MAX_SMALL_ANSWER_BYTES, 'answer')
    const { error } = parseJson(problemSchema, bytes, 'answer', MAX_SMALL_ANSWER_BYTES)
    return { code: error.code.slice(0, 64), ...(error.data?.actual && { actual: error.data.actual }) }
  } catch {
    // An answer that is not ours says what it says by its status.
    return { code: '' }
  }
}

function unexpected({ status }: Response, url: string, { code }: Problem): Error {
  return errors.CLOUD_ANSWER_UNEXPECTED({ url, status, code })
}

async function refusal(response: Response, url: string): Promise<Error> {
  return unexpected(response, url, await problemOf(response))
}

/** A chunk that was altered in the cloud's store is refused there, by the same code as here. */
async function chunkRefusal(response: Response, url: string, sha256: string): Promise<Error> {
  const problem = await problemOf(response)
  if (problem.code === 'CHUNK_DIGEST_MISMATCH')
    return coreErrors.CHUNK_DIGEST_MISMATCH({ sha256, actual: problem.actual ?? 'unknown', bytes: 0 })
  return unexpected(response, url, problem)
}
