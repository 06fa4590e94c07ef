import { type BinaryBody, decodeInferRequest, encodeInferAnswer, headerBytesOf, type Serving } from '@tideway/core'
import type { Context } from 'hono'
import { type BodySource, readAligned, sourceIn } from '../http/aligned.js'
import type { BodyLimits } from '../http/body.js'
import type { AppEnv, Deps } from '../http/route.js'
import { need } from '../services.js'
import { checkType } from './content-type.js'
import type { Statistics } from './statistics.js'
import { type Target, targetOf } from './target.js'

/** One request to run a model: what its path names, and its body. */
export interface InferAsk {
  readonly target: Target
  readonly source: BodySource
}

/** Answers with the body: JSON, or JSON with binary tensors behind it. */
export type Infer = (ask: InferAsk) => Promise<string | BinaryBody>

/**
 * Runs a model (Open Inference Protocol v2, "Inference"), with tensors in JSON or in binary both ways. The body is narrowed by
 * core's codec straight into the tensors that run.
 */
export function createInfer({ services, limits }: Pick<Deps, 'services' | 'limits'>, statistics: Statistics): Infer {
  const body: BodyLimits = {
    what: 'the inference request',
    maxBytes: limits.maxInferBodyBytes,
    idleMs: limits.bodyIdleMs,
  }
  return async ({ target, source }) => {
    const serving = need(services, 'serving')
    const headerBytes = headerBytesOf(source.header('inference-header-content-length'))
    if (headerBytes === undefined) checkType(source.header)
    const bytes = await readAligned(source, body, headerBytes)
    return run(serving, target, statistics, bytes, headerBytes)
  }
}

/** The same behind the adapter, for paths that are written unusually and processes without a listener. */
export function inferHandler(infer: Infer) {
  return async (c: Context<AppEnv>): Promise<Response> => {
    const body = await infer({ target: targetOf(c), source: sourceIn(c) })
    return c.body(typeof body === 'string' ? body : body.body, 200, headersOf(body))
  }
}

export function headersOf(body: string | BinaryBody): Record<string, string> {
  if (typeof body === 'string') return { 'Content-Type': 'application/json' }
  return {
    'Content-Type': 'application/octet-stream',
    'Inference-Header-Content-Length': String(body.headerBytes),
  }
}

async function run(
  serving: Serving,
  { model, version: wanted }: Target,
  statistics: Statistics,
  bytes: Uint8Array,
  headerBytes: number | undefined,
): Promise<string | BinaryBody> {
  const began = performance.now()
  // Only a raw body needs to know the model before it is read.
  const signature = headerBytes === 0 ? (await serving.metadata(model, wanted)).signature : undefined
  const request = decodeInferRequest(bytes, headerBytes, signature)
  const decoded = performance.now()
  const { version, outputs, timing } = await serving
    .infer(model, wanted, request.inputs)
    .catch(async (error: unknown) => {
      const totalNs = nanoseconds(performance.now() - began)
      // A model that is not there has no statistics.
      const at = await serving.metadata(model, wanted).catch(() => undefined)
      if (at) statistics.of(model, String(at.version.version)).failed(totalNs)
      throw error
    })
  const ran = performance.now()
  const answered = encodeInferAnswer({ model, version: String(version.version), outputs }, request)
  const ended = performance.now()
  statistics.of(model, String(version.version)).succeeded({
    rows: timing?.rows ?? 1,
    batchSize: timing?.batchSize ?? 1,
    leads: timing?.leads ?? true,
    totalNs: nanoseconds(ended - began),
    queueNs: timing?.queueNs,
    inputNs: nanoseconds(decoded - began),
    inferNs: timing?.runNs ?? nanoseconds(ran - decoded),
    outputNs: nanoseconds(ended - ran),
  })
  return answered
}

function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6)
}
