import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { errors as core, type HttpLimits, issuesOf } from '@tideway/core'
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { z } from 'zod'
import type { Services } from '../services.js'
import { type Caller, demand, originOf, type RouteRole } from './access.js'
import { readJson } from './body.js'

export interface AppEnv {
  /** Where there is a listener: Node's own request, or the connection of one that has no body. */
  Bindings: { readonly incoming?: IncomingMessage; readonly socket?: Socket }
  Variables: { caller: Caller; requestId: string }
}

/** What every group of routes is given. */
export interface Deps {
  readonly app: OpenAPIHono<AppEnv>
  readonly services: Services
  readonly limits: HttpLimits
  /** Whether credentials are required. */
  readonly secured: boolean
  /** Lower-case: whose value is the key of a request; see `InferContext.stickyKey`. */
  readonly stickyHeader: string
  /** Fires when the server stops: streams without an end must end then. */
  readonly stopping: AbortSignal
}

type Method = 'get' | 'head' | 'post' | 'put' | 'patch' | 'delete'
type Shape = z.ZodObject
type Documented = NonNullable<Parameters<OpenAPIHono['openAPIRegistry']['registerPath']>[0]['responses']>
const none = z.object({})

export interface RouteSpec<P extends Shape, Q extends Shape, B extends z.ZodType> {
  readonly method: Method
  /** `/v1/models/{model}`. */
  readonly path: string
  readonly summary: string
  /** Who may ask. A model in the path must be in the scope of who asks, too. */
  readonly role: RouteRole
  /** Of a change: the action that the audit log then has, or why there is none. */
  readonly audit?: string
  readonly unaudited?: string
  readonly params?: P
  readonly query?: Q
  /** JSON. */
  readonly body?: B
}

export interface RouteRequest<P, Q, B> {
  readonly c: Context<AppEnv>
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly bodyBytes: number
  readonly caller: Caller
}

const errorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), data: z.record(z.string(), z.unknown()).optional() }),
})

/**
 * Adds a JSON route from one declaration: the schemas that document it are those that narrow what comes in. All bad
 * fields of path, query and body are named in one `INPUT_REJECTED`.
 */
export function jsonRoute<A extends z.ZodType, P extends Shape, Q extends Shape, B extends z.ZodType>(
  deps: Deps,
  spec: RouteSpec<P, Q, B> & { readonly answer: A; readonly status?: 200 | 201 | 202 },
  handle: (request: RouteRequest<z.output<P>, z.output<Q>, z.output<B>>) => Promise<z.input<A>>,
): void {
  const status = spec.status ?? 200
  const content = { 'application/json': { schema: spec.answer } }
  document(deps, spec, { [status]: { description: 'The answer', content } })
  add(deps, spec, async (request) => request.c.json((await handle(request)) as object, status as ContentfulStatusCode))
}

/** As `jsonRoute`, for answers that are not JSON; `responses` documents them. */
export function rawRoute<P extends Shape, Q extends Shape, B extends z.ZodType>(
  deps: Deps,
  spec: RouteSpec<P, Q, B> & { readonly responses: Documented; readonly octets?: string },
  handle: (request: RouteRequest<z.output<P>, z.output<Q>, z.output<B>>) => Promise<Response>,
): void {
  document(deps, spec, spec.responses, spec.octets)
  add(deps, spec, handle)
}

function document<P extends Shape, Q extends Shape, B extends z.ZodType>(
  { app }: Deps,
  spec: RouteSpec<P, Q, B>,
  responses: Documented,
  octets?: string,
): void {
  const json = spec.body && { required: true, content: { 'application/json': { schema: spec.body } } }
  const binary = octets && {
    description: octets,
    required: true,
    content: { 'application/octet-stream': { schema: { type: 'string' as const, format: 'binary' } } },
  }
  app.openAPIRegistry.registerPath({
    method: spec.method,
    path: spec.path,
    operationId: operationId(spec.method, spec.path),
    summary: spec.summary,
    tags: [spec.path.split('/')[2] ?? 'v1'],
    ...accessDocument(spec),
    request: { params: spec.params, query: spec.query, body: json ?? (binary || undefined) },
    responses: {
      ...responses,
      default: { description: 'An error, with its code', content: { 'application/json': { schema: errorSchema } } },
    },
  })
}

function add<P extends Shape, Q extends Shape, B extends z.ZodType>(
  { app, limits }: Deps,
  spec: RouteSpec<P, Q, B>,
  handle: (request: RouteRequest<z.output<P>, z.output<Q>, z.output<B>>) => Promise<Response>,
): void {
  const bodyLimits = { what: 'the request body', maxBytes: limits.maxJsonBodyBytes, idleMs: limits.bodyIdleMs }
  // hono answers HEAD by the GET handler without its body.
  if (spec.method === 'head') return
  app.on(spec.method, honoPath(spec.path), async (c) => {
    const caller = c.get('caller')
    demand(caller.actor, spec.role, c.req.param('model'))
    const json = spec.body ? await readJson(c, bodyLimits) : { value: undefined, bytes: 0 }
    const issues: string[] = []
    const check = <S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> => {
      const result = schema.safeParse(value)
      if (result.success) return result.data
      issues.push(...issuesOf(result.error).map((issue) => `${where} ${issue}`))
      return undefined as never
    }
    const params = check(spec.params ?? none, c.req.param(), 'path') as z.output<P>
    const query = check(spec.query ?? none, c.req.query(), 'query') as z.output<Q>
    const body = (spec.body ? check(spec.body, json.value, 'body') : undefined) as z.output<B>
    if (issues.length > 0) throw core.INPUT_REJECTED({ what: 'the request', issues })
    return handle({ c, params, query, body, bodyBytes: json.bytes, caller })
  })
}

/** Who may ask and what is logged, for the OpenAPI document. */
export function accessDocument({
  role,
  audit,
  unaudited,
}: Pick<RouteSpec<Shape, Shape, z.ZodType>, 'role' | 'audit' | 'unaudited'>) {
  return {
    security: role === 'open' ? [] : [{ bearer: [] }],
    'x-tideway-role': typeof role === 'string' ? [role] : [...role],
    ...(audit !== undefined && { 'x-tideway-audit': audit }),
    ...(unaudited !== undefined && { 'x-tideway-unaudited': unaudited }),
  }
}

export function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1')
}

/** `get /v1/models/{model}` becomes `getModelsByModel`. */
export function operationId(method: string, path: string): string {
  const words = path
    .replace(/^\/v\d+/, '')
    .split('/')
    .filter(Boolean)
  const name = words.map((word) =>
    word
      .replace(/^\{(\w+)\}$/, 'by-$1')
      .replaceAll(/(^|[^a-zA-Z0-9]+)(\w)/g, (_, __, letter: string) => letter.toUpperCase()),
  )
  return `${method}${name.join('')}`
}

/** Writes one entry of the audit log, where there is one. */
export async function audit(
  { services }: Deps,
  caller: Caller,
  action: string,
  subject: string,
  data: Record<string, unknown> = {},
): Promise<void> {
  await services.auditLog?.append({ ...originOf(caller), action, subject, data })
}
