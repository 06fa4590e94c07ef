import type { OpenAPIHono } from '@hono/zod-openapi'
import { datatypes } from '@tideway/core'
import { z } from 'zod'
import type { RouteRole } from '../http/access.js'
import { accessDocument, operationId } from '../http/route.js'
import { indexRequest, loadRequest, unloadRequest } from './repository.js'

/** These routes are narrowed by core's codec, not by a schema, so this description of them is written by hand too. */
const datatype = z.enum(datatypes)
const spec = z.object({ name: z.string(), datatype, shape: z.array(z.int().min(-1)) })
const tensor = z.object({
  name: z.string(),
  shape: z.array(z.int().nonnegative()),
  datatype,
  parameters: z.looseObject({ binary_data_size: z.int().nonnegative().optional() }).optional(),
  data: z.array(z.unknown()).optional(),
})
const failure = z.object({ error: z.string(), code: z.string() })

const inferRequest = z.object({
  id: z.string().optional(),
  parameters: z
    .looseObject({
      binary_data_output: z.boolean().optional(),
      int64_as_string: z.boolean().optional(),
      non_finite_as_null: z.boolean().optional(),
      timeout: z.int().nonnegative().optional(),
    })
    .optional(),
  inputs: z.array(tensor).min(1),
  outputs: z
    .array(
      z.object({
        name: z.string(),
        parameters: z.looseObject({ binary_data: z.boolean().optional() }).optional(),
      }),
    )
    .optional(),
})
const inferAnswer = z.object({
  model_name: z.string(),
  model_version: z.string(),
  id: z.string().optional(),
  outputs: z.array(tensor),
})

const INFER = `Open Inference Protocol v2, with Triton's binary tensor extension. \`data\` is row-major, flat or nested.
INT64 and UINT64 are exact as JSON numbers of all their digits, or as strings of them; they are answered as numbers, or as
strings if \`parameters.int64_as_string\` is true. FP16 and BF16 are numbers. NaN, Infinity and -Infinity are taken and
answered as bare words, as Triton does, which is no JSON: with \`parameters.non_finite_as_null\` they are answered as null.
In binary, \`Inference-Header-Content-Length\` is the length of the JSON, and the tensors that have
\`parameters.binary_data_size\` follow it in their order, little-endian; with 0 the body is the one input of the model.
Outputs come in binary where \`parameters.binary_data_output\`, or \`parameters.binary_data\` of the output, is true.
\`parameters.timeout\` (microseconds), \`Grpc-Timeout\` (\`500m\`) or \`X-Envoy-Expected-Rq-Timeout-Ms\` say how long the client waits:
what could not begin by then is answered with 504. Without a version the model's traffic policy says who
answers, the alias \`latest\` where none was set; requests with the same \`X-Tideway-Key\` stay with a version. The answer's
\`X-Tideway-Version\` says which it was, \`X-Tideway-Unit\` under an A/B test by what its outcome is reported.`

const STREAM = `Each line of the body is a request of \`infer\` in JSON, and is answered by a line, in their order, while they come:
\`application/x-ndjson\`, or with \`Accept: text/event-stream\` events \`answer\` and \`failure\` whose ids are the numbers of the
lines. A line that fails is \`{"error", "code"}\`; the others are answered. One version answers all of a stream: without one in
the path what \`latest\` names at its beginning, past the model's traffic policy.`

const LOAD = `Loads the version that the alias \`latest\` names, anew if it is loaded. Of this process alone. Other versions are
loaded by the first request for them.`
const UNLOAD = `Frees all versions of the model; requests for it are refused (MODEL_UNLOADED) until it is loaded again, or this
process starts again.`

const duration = z.object({ count: z.int(), ns: z.int() })
const stages = { compute_input: duration, compute_infer: duration, compute_output: duration }
const statistics = z.object({
  model_stats: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      last_inference: z.int(),
      inference_count: z.int(),
      execution_count: z.int(),
      inference_stats: z.object({
        success: duration,
        fail: duration,
        queue: duration,
        ...stages,
        cache_hit: duration,
        cache_miss: duration,
      }),
      batch_stats: z.array(z.object({ batch_size: z.int(), ...stages })),
    }),
  ),
})
const repositoryIndex = z.array(
  z.object({ name: z.string(), version: z.string(), state: z.string(), reason: z.string() }),
)
const ready = z.object({ name: z.string(), ready: z.boolean() })

const metadata = z.object({
  name: z.string(),
  versions: z.array(z.string()),
  platform: z.string(),
  inputs: z.array(spec),
  outputs: z.array(spec),
})

const configured = z.array(z.object({ name: z.string(), data_type: z.string(), dims: z.array(z.int().min(-1)) }))
const config = z.object({
  name: z.string(),
  platform: z.string(),
  backend: z.string(),
  version_policy: z.object({ all: z.object({}) }),
  max_batch_size: z.int().nonnegative(),
  input: configured,
  output: configured,
  dynamic_batching: z.object({}).optional(),
})

/** Who may ask a route of the protocol, whichever way its parameters are written. */
export function inferenceRole(path: string): RouteRole {
  if (path.startsWith('/v2/health/')) return 'open'
  return path.startsWith('/v2/repository/models/') ? 'operator' : 'viewer'
}

function auditOf(path: string, method: string): { audit?: string; unaudited?: string } {
  const change = /^\/v2\/repository\/models\/.*\/(load|unload)$/.exec(path)?.[1]
  if (change !== undefined) return { audit: `model.${change}` }
  return method === 'post' ? { unaudited: 'it changes nothing' } : {}
}

/** What one route takes beside its path, and more of what is said of it. */
interface More {
  readonly body?: z.ZodType
  /** The same body with tensors in binary behind it. */
  readonly binary?: boolean
  readonly description?: string
  /** Also a body of the answer, of the status 503. */
  readonly unready?: boolean
}

const octets = { 'application/octet-stream': { schema: { type: 'string' as const, format: 'binary' } } }

export function documentInference(registry: OpenAPIHono['openAPIRegistry']): void {
  const params = (path: string) =>
    z.object(Object.fromEntries([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name!, z.string()])))
  const add = (method: 'get' | 'post', path: string, summary: string, answer: z.ZodType, more: More = {}) => {
    const content = (schema: z.ZodType) => ({ 'application/json': { schema }, ...(more.binary && octets) })
    const json = content(answer)
    registry.registerPath({
      method,
      path,
      operationId: operationId(method, path.replace('/v2', '/v2/inference')),
      summary,
      tags: ['inference'],
      ...accessDocument({ role: inferenceRole(path), ...auditOf(path, method) }),
      request: {
        params: params(path),
        ...(more.body && { body: { required: more.binary === true, content: content(more.body) } }),
      },
      responses: {
        200: { description: 'The answer', content: json },
        ...(more.unready && { 503: { description: 'Not now', content: json } }),
        default: { description: 'An error, with its code', content: { 'application/json': { schema: failure } } },
      },
      ...(more.description && { description: more.description }),
    })
  }

  const server = z.object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) })
  add('get', '/v2', 'The server', server)
  add('get', '/v2/health/live', 'Does the process run?', z.object({ live: z.boolean() }))
  add('get', '/v2/health/ready', 'Can models be run?', z.object({ ready: z.boolean() }), { unready: true })
  add('get', '/v2/models/stats', 'Statistics of all models', statistics)
  for (const path of ['/v2/models/{model}', '/v2/models/{model}/versions/{version}']) {
    add('get', path, 'Inputs and outputs of a model', metadata)
    add('get', `${path}/config`, 'What of a configuration of Triton is so of a model', config)
    add('get', `${path}/ready`, 'Can this model be run?', ready, { unready: true })
    add('get', `${path}/stats`, 'Statistics of a model', statistics)
    const infer = { body: inferRequest, binary: true, description: INFER }
    add('post', `${path}/infer`, 'Run a model', inferAnswer, infer)
    registry.registerPath({
      method: 'post',
      path: `${path}/infer_stream`,
      operationId: operationId('post', `${path.replace('/v2', '/v2/inference')}/infer_stream`),
      summary: 'Run a model on each line',
      tags: ['inference'],
      ...accessDocument({ role: inferenceRole(path), ...auditOf(path, 'post') }),
      description: STREAM,
      request: {
        params: params(path),
        body: { required: true, content: { 'application/x-ndjson': { schema: inferRequest } } },
      },
      responses: {
        200: {
          description: 'A line or an event for each line',
          content: { 'application/x-ndjson': { schema: inferAnswer }, 'text/event-stream': { schema: inferAnswer } },
        },
        default: { description: 'An error, with its code', content: { 'application/json': { schema: failure } } },
      },
    })
  }
  const model = '/v2/repository/models/{model}'
  add('post', '/v2/repository/index', 'Every version of every model, and its state', repositoryIndex, {
    body: indexRequest,
  })
  add('post', `${model}/load`, 'Load a model', z.object({}), { body: loadRequest, description: LOAD })
  add('post', `${model}/unload`, 'Unload a model', z.object({}), { body: unloadRequest, description: UNLOAD })
}
