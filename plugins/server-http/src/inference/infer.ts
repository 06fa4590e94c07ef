import { type BinaryBody, decodeInferRequest, encodeInferAnswer, headerBytesOf, type Serving } from '@tideway/core'
import type { Context } from 'hono'
import { readAligned } from '../http/aligned.js'
import type { BodyLimits } from '../http/body.js'
import type { AppEnv, Deps } from '../http/route.js'
import { need } from '../services.js'
import { checkType } from './content-type.js'
import type { Statistics } from './statistics.js'
import { type Target, targetOf } from './target.js'

/**
 * Runs a model (Open Inference Protocol v2, "Inference"), with tensors in JSON or in binary both ways. A plain handler:
 * this is the hot path, on which the body is narrowed by core's codec straight into the tensors that run.
 */
export function inferHandler({ services, limits }: Deps, statistics: Statistics) {
  const body: BodyLimits = {
    what: 'the inference request',
    maxBytes: limits.maxInferBodyBytes,
    idleMs: limits.bodyIdleMs,
  }
  return async (c: Context<AppEnv>): Promise<Response> => {
    const target = targetOf(c)
    const serving = need(services, 'serving')
    const headerBytes = headerBytesOf(c.req.header('inference-header-content-length'))
    if (headerBytes === undefined) checkType((name) => c.req.header(name))
    const bytes = await readAligned(c, body, headerBytes)
    return answer(c, await run(serving, target, statistics, bytes, headerBytes))
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

function answer(c: Context<AppEnv>, body: string | BinaryBody): Response {
  if (typeof body === 'string') return c.body(body, 200, { 'Content-Type': 'application/json' })
  return c.body(body.body, 200, {
    'Content-Type': 'application/octet-stream',
    'Inference-Header-Content-Length': String(body.headerBytes),
  })
}

function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6)
}
