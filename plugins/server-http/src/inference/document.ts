import type { OpenAPIHono } from '@hono/zod-openapi'
import { datatypes } from '@tideway/core'
import { z } from 'zod'
import { operationId } from '../http/route.js'

/** These routes are narrowed by core's codec, not by a schema, so this description of them is written by hand too. */
const datatype = z.enum(datatypes)
const spec = z.object({ name: z.string(), datatype, shape: z.array(z.int().min(-1)) })
const tensor = z.object({
  name: z.string(),
  shape: z.array(z.int().nonnegative()),
  datatype,
  data: z.array(z.unknown()),
})
const failure = z.object({ error: z.string(), code: z.string() })

const inferRequest = z.object({
  id: z.string().optional(),
  parameters: z.object({ int64_as_string: z.boolean().optional() }).optional(),
  inputs: z.array(tensor).min(1),
  outputs: z.array(z.object({ name: z.string() })).optional(),
})
const inferAnswer = z.object({
  model_name: z.string(),
  model_version: z.string(),
  id: z.string().optional(),
  outputs: z.array(tensor),
})

const INFER = `Open Inference Protocol v2 in JSON; the binary tensor extension is not spoken. \`data\` is row-major, flat or
nested. INT64 and UINT64 values beyond 2^53 must be sent as strings of digits (a JSON number would have lost its last
digits); they are answered as JSON numbers with all digits, or as strings if \`parameters.int64_as_string\` is true.
FP16 values are numbers. NaN and infinities in outputs are null. Without a version the alias \`latest\` is used.`

const metadata = z.object({
  name: z.string(),
  versions: z.array(z.string()),
  platform: z.string(),
  inputs: z.array(spec),
  outputs: z.array(spec),
})

export function documentInference(registry: OpenAPIHono['openAPIRegistry']): void {
  const params = (path: string) =>
    z.object(Object.fromEntries([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name!, z.string()])))
  const add = (method: 'get' | 'post', path: string, summary: string, answer: z.ZodType, more: object = {}) =>
    registry.registerPath({
      method,
      path,
      operationId: operationId(method, path.replace('/v2', '/v2/inference')),
      summary,
      tags: ['inference'],
      request: { params: params(path), ...more },
      responses: {
        200: { description: 'The answer', content: { 'application/json': { schema: answer } } },
        default: { description: 'An error, with its code', content: { 'application/json': { schema: failure } } },
      },
      ...(method === 'post' && { description: INFER }),
    })

  const server = z.object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) })
  add('get', '/v2', 'The server', server)
  add('get', '/v2/health/live', 'Does the process run?', z.object({ live: z.boolean() }))
  add('get', '/v2/health/ready', 'Can models be run?', z.object({ ready: z.boolean() }))
  for (const path of ['/v2/models/{model}', '/v2/models/{model}/versions/{version}']) {
    add('get', path, 'Inputs and outputs of a model', metadata)
    add('get', `${path}/ready`, 'Can this model be run?', z.object({ name: z.string(), ready: z.boolean() }))
    const body = { required: true, content: { 'application/json': { schema: inferRequest } } }
    add('post', `${path}/infer`, 'Run a model', inferAnswer, { body })
  }
}
