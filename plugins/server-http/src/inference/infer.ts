import type {
  BinaryBody,
  InferAnswer,
  InferForm,
  InferRequest,
  InferTarget,
  Serving,
  Span,
  Statistics,
} from '@tideway/core'
import { codeOf, decodeInferRequest, encodeInferAnswer, headerBytesOf, runMeasured } from '@tideway/core/serving'
import type { Context } from 'hono'
import { type BodySource, type Header, readAligned, sourceIn } from '../http/aligned.js'
import type { BodyLimits } from '../http/body.js'
import type { AppEnv, Deps } from '../http/route.js'
import { need } from '../services.js'
import { checkType } from './content-type.js'
import { contextOf, wantedIn } from './context.js'
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

/** Throws, or rejects with, what stands in the way of an answer. */
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
  const wantedOf = (header: Header) => {
    const stickyKey = stickyKeyIn(header, stickyHeader)
    const wanted = wantedIn(header)
    const headerBytes = headerBytesOf(header('inference-header-content-length'))
    if (headerBytes === undefined) checkType(header)
    return { stickyKey, wanted, headerBytes }
  }
  // What is read is counted where it runs.
  const unread = (error: unknown): never => {
    statistics.observer.failed(codeOf(error) ?? 'INTERNAL', undefined)
    throw error
  }
  return ({ target, source, signal, requestId, span }) => {
    try {
      const { stickyKey, wanted, headerBytes } = source.derive(wantedOf)
      const context = contextOf(wanted, signal, { requestId, stickyKey, span })
      const serving = need(services, 'serving')
      const run = (bytes: Uint8Array) =>
        runMeasured({ serving, statistics }, target, new HttpForm(serving, target, bytes, headerBytes), context)
      const reading = readAligned(source, body, headerBytes)
      return reading instanceof Promise ? reading.then(run, unread) : run(reading)
    } catch (error) {
      return unread(error)
    }
  }
}

class HttpForm implements InferForm<InferRequest, InferReply> {
  constructor(
    private readonly serving: Serving,
    private readonly target: InferTarget,
    private readonly bytes: Uint8Array,
    private readonly headerBytes: number | undefined,
  ) {}

  get bytesIn(): number {
    return this.bytes.byteLength
  }

  decode(): InferRequest | Promise<InferRequest> {
    const { bytes, headerBytes, target } = this
    if (headerBytes !== 0) return decodeInferRequest(bytes, headerBytes)
    // Only a raw body needs to know the model before it is read.
    const known = this.serving.metadata(target.model, target.version)
    return known.then(({ signature }) => decodeInferRequest(bytes, headerBytes, signature))
  }

  encode(answer: InferAnswer, request: InferRequest, unit: string | undefined): InferReply {
    return { body: encodeInferAnswer(answer, request), told: toldOf(answer.version, unit) }
  }

  bytesOut({ body }: InferReply): number {
    return typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
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
