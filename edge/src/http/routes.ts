import {
  type BinaryBody,
  errors as core,
  decodeInferRequest,
  encodeInferAnswer,
  encodeModelMetadata,
  headerBytesOf,
} from '@tideway/core'
import type { Edge } from '../edge.js'
import { errors } from '../errors.js'

export interface Answer {
  readonly status: number
  /** JSON, with tensors in binary behind it where they were asked for. */
  readonly body: string | BinaryBody
}

export interface Call {
  readonly method: string
  readonly path: string
  /** Of the header `Inference-Header-Content-Length`. */
  readonly inferenceHeader: string | undefined
  /** Reads the body; byte `at` of it is aligned for any view. */
  readonly body: (at: number) => Promise<Uint8Array>
}

const MODEL = /^\/v2\/models\/([^/]+)(?:\/versions\/(\d{1,15}))?(?:\/(infer|ready))?$/

/** The Open Inference Protocol v2, with binary tensors, for the models of this device, and the agent's own status. */
export async function route(edge: Edge, call: Call): Promise<Answer> {
  const { method, path } = call
  const model = MODEL.exec(path)
  switch (model === null ? `${method} ${path}` : method) {
    case 'GET /v2':
      return ok({ name: 'tideway-edge', version: edge.status().boot, extensions: ['binary_tensor_data'] })
    case 'GET /v2/health/live':
      return ok({ live: true })
    case 'GET /v2/health/ready':
      return readiness(Object.values(edge.status().models).some(({ manifestDigest }) => manifestDigest !== undefined))
    case 'GET /v1/status':
      return ok({ ...edge.status(), pid: process.pid })
    case 'POST /v1/flush':
      await edge.flush()
      return ok({ flushed: true, outbox: edge.status().outbox })
    case 'GET':
      return model?.[3] === 'infer' ? notFound(method, path) : describe(edge, model, model?.[3] === 'ready')
    case 'POST':
      return model?.[3] === 'infer' ? await infer(edge, model, call) : notFound(method, path)
    default:
      return notFound(method, path)
  }
}

function describe(edge: Edge, match: RegExpExecArray | null, onlyReady: boolean): Answer {
  const name = nameOf(match)
  const status = edge.status().models[name]
  const { signature } = edge.model(name)
  if (onlyReady) return readiness(signature !== undefined)
  if (signature === undefined) throw errors.MODEL_NOT_ACTIVE({ model: name })
  const versions = [String(status?.version)]
  return ok(encodeModelMetadata({ name, versions, platform: 'tideway_edge', ...signature }))
}

async function infer(edge: Edge, match: RegExpExecArray, { inferenceHeader, body }: Call): Promise<Answer> {
  const name = nameOf(match)
  const version = edge.status().models[name]?.version
  if (match[2] !== undefined && version !== Number(match[2])) {
    throw core.VERSION_NOT_FOUND({ model: name, version: match[2] })
  }
  const headerBytes = headerBytesOf(inferenceHeader)
  const bytes = await body(headerBytes ?? 0)
  const model = edge.model(name)
  const request = decodeInferRequest(bytes, headerBytes, headerBytes === 0 ? model.signature : undefined)
  const outputs = await model.infer(request.inputs)
  return { status: 200, body: encodeInferAnswer({ model: name, version: String(version), outputs }, request) }
}

function nameOf(match: RegExpExecArray | null): string {
  return match?.[1] ?? ''
}

export function json(status: number, body: object): Answer {
  return { status, body: JSON.stringify(body) }
}

function ok(body: object): Answer {
  return json(200, body)
}

function readiness(ready: boolean): Answer {
  return json(ready ? 200 : 503, { ready })
}

function notFound(method: string, path: string): never {
  throw errors.EDGE_ROUTE_NOT_FOUND({ method, path: path.slice(0, 200) })
}
