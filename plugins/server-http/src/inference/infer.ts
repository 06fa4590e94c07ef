import type { BinaryBody, InferForm, InferRequest, InferTarget, Span, Statistics } from '@tideway/core'
import { decodeInferRequest, encodeInferAnswer, headerBytesOf, runMeasured } from '@tideway/core/serving'
import type { Context } from 'hono'
import { type BodySource, readAligned, sourceIn } from '../http/aligned.js'
import type { BodyLimits } from '../http/body.js'
import type { AppEnv, Deps } from '../http/route.js'
import { need } from '../services.js'
import { checkType } from './content-type.js'
import { contextOf } from './context.js'
import { goneSignal } from './gone.js'
import { targetOf } from './target.js'
import { stickyKeyIn, toldOf } from './told.js'

/** One request to run a model: what its path names, and its body. */
export interface InferAsk {
  readonly target: InferTarget
  readonly source: BodySource
  readonly requestId?: string
  /** Where its trace is sampled. */
  readonly span?: Span | undefined
  /** Fires when the client has gone. */
  readonly signal?: AbortSignal
}

/** An answer: JSON, or JSON with binary tensors behind it, and what its headers tell of it besides. */
export interface InferReply {
  readonly body: string | BinaryBody
  readonly told: readonly string[]
}

export type Infer = (ask: InferAsk) => Promise<InferReply>

/**
 * Runs a model (Open Inference Protocol v2, "Inference"), with tensors in JSON or in binary both ways. The body is narrowed by
 * core's codec straight into the tensors that run.
 */
export function createInfer(
  { services, limits, stickyHeader }: Pick<Deps, 'services' | 'limits' | 'stickyHeader'>,
  statistics: Statistics,
): Infer {
  const body: BodyLimits = {
    what: 'the inference request',
    maxBytes: limits.maxInferBodyBytes,
    idleMs: limits.bodyIdleMs,
  }
  return async ({ target, source, signal, requestId, span }) => {
    const stickyKey = stickyKeyIn(source, stickyHeader)
    const context = contextOf(source.header, performance.now(), signal, { requestId, stickyKey, span })
    const serving = need(services, 'serving')
    const headerBytes = headerBytesOf(source.header('inference-header-content-length'))
    if (headerBytes === undefined) checkType(source.header)
    const reading = readAligned(source, body, headerBytes)
    const bytes = reading instanceof Promise ? await reading : reading
    const form: InferForm<InferRequest, InferReply> = {
      decode() {
        if (headerBytes !== 0) return decodeInferRequest(bytes, headerBytes)
        // Only a raw body needs to know the model before it is read.
        const known = serving.metadata(target.model, target.version)
        return known.then(({ signature }) => decodeInferRequest(bytes, headerBytes, signature))
      },
      encode: (answer, request, unit) => ({
        body: encodeInferAnswer(answer, request),
        told: toldOf(answer.version, unit),
      }),
      bytesIn: bytes.byteLength,
      bytesOut: ({ body }) => (typeof body === 'string' ? Buffer.byteLength(body) : body.body.byteLength),
    }
    return await runMeasured({ serving, statistics }, target, form, context)
  }
}

/** The headers of an answer, in the form that is the cheapest for Node: each name and behind it its value. */
export function headersOf({ body, told }: InferReply): string[] {
  if (typeof body === 'string') return ['Content-Type', 'application/json', ...told]
  const length = String(body.headerBytes)
  return ['Content-Type', 'application/octet-stream', 'Inference-Header-Content-Length', length, ...told]
}

/** The same behind the adapter, for paths that are written unusually and processes without a listener. */
export function inferHandler(infer: Infer) {
  return async (c: Context<AppEnv>): Promise<Response> => {
    const incoming = (c.env as AppEnv['Bindings'] | undefined)?.incoming
    const reply = await infer({
      target: targetOf(c),
      source: sourceIn(c),
      requestId: c.get('requestId'),
      ...(incoming && { signal: goneSignal(incoming.socket) }),
    })
    const headers = headersOf(reply)
    for (let i = 0; i < headers.length; i += 2) c.header(headers[i] as string, headers[i + 1])
    return c.body(typeof reply.body === 'string' ? reply.body : reply.body.body, 200)
  }
}
