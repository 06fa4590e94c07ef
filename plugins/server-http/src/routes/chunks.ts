import { sha256Schema, limits as wire } from '@tideway/core'
import { z } from 'zod'
import { expectType, readBytes } from '../http/body.js'
import { type Deps, jsonRoute, rawRoute } from '../http/route.js'
import { shaParams } from '../schemas.js'
import { need } from '../services.js'
import { answerBytes, octetResponses } from './octets.js'

/** Enough for a blob of 4 GiB at 64 KiB a chunk in one question, within the JSON limit. */
const MAX_DIGESTS = 65_536

export function chunkRoutes(deps: Deps): void {
  const { services, limits } = deps
  jsonRoute(
    deps,
    {
      method: 'post',
      path: '/v1/chunks/missing',
      summary: 'Which of these chunks are not stored here',
      role: 'publisher',
      unaudited: 'it changes nothing',
      body: z.object({ sha256s: z.array(sha256Schema).max(MAX_DIGESTS) }),
      answer: z.object({ missing: z.array(sha256Schema) }),
    },
    async ({ body }) => ({ missing: await need(services, 'chunkStore').missing(body.sha256s) }),
  )
  const one = { path: '/v1/chunks/{sha256}', params: shaParams } as const
  rawRoute(
    deps,
    {
      ...one,
      method: 'get',
      summary: 'The bytes of a chunk; ranges are answered',
      role: ['viewer', 'device'],
      responses: octetResponses,
    },
    async ({ c, params }) => {
      const bytes = await need(services, 'chunkStore').get(params.sha256)
      const stream = (first: number, last: number) => bytes.subarray(first, last + 1)
      return answerBytes(c, deps, { sha256: params.sha256, size: bytes.byteLength }, stream)
    },
  )
  rawRoute(
    deps,
    { ...one, method: 'head', summary: 'Is a chunk stored?', role: ['viewer', 'device'], responses: octetResponses },
    unreachable,
  )
  rawRoute(
    deps,
    {
      ...one,
      method: 'put',
      summary: 'Store a chunk; already there is fine',
      role: 'publisher',
      unaudited: 'a chunk is nothing until a version or a blob names it, which is logged',
      octets: `The chunk, at most ${wire.maxChunkBytes} bytes`,
      responses: { 204: { description: 'Stored, durably' } },
    },
    async ({ c, params }) => {
      const store = need(services, 'chunkStore')
      expectType(c, 'application/octet-stream')
      const bodyLimits = { what: 'the chunk', maxBytes: wire.maxChunkBytes, idleMs: limits.bodyIdleMs }
      await store.put(params.sha256, await readBytes(c, bodyLimits))
      return c.body(null, 204)
    },
  )
}

/** HEAD is answered by GET's handler; the declaration only documents it. */
export function unreachable(): never {
  throw new Error('HEAD has no handler of its own')
}
