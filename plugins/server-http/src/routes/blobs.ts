import { blobRefSchema, errors as core } from '@tideway/core'
import { expectType, readBody } from '../http/body.js'
import { audit, type Deps, jsonRoute, rawRoute } from '../http/route.js'
import { shaParams } from '../schemas.js'
import { need } from '../services.js'
import { blobStream, storeBlob } from './blob-stream.js'
import { unreachable } from './chunks.js'
import { answerBytes, octetResponses } from './octets.js'

export function blobRoutes(deps: Deps): void {
  const { services, limits } = deps
  const one = { path: '/v1/blobs/{sha256}', params: shaParams } as const
  async function refOf(sha256: string) {
    const ref = await need(services, 'chunkStore').blob(sha256)
    if (!ref) throw core.BLOB_NOT_FOUND({ sha256 })
    return ref
  }
  rawRoute(
    deps,
    {
      ...one,
      method: 'get',
      summary: 'The bytes of a blob, streamed; ranges are answered',
      role: ['viewer', 'device'],
      responses: octetResponses,
    },
    async ({ c, params }) => {
      const ref = await refOf(params.sha256)
      const store = need(services, 'chunkStore')
      return answerBytes(c, deps, ref, (first, last) => blobStream(store, ref, { first, last }))
    },
  )
  rawRoute(
    deps,
    {
      ...one,
      method: 'head',
      summary: 'Is a blob stored, and how large',
      role: ['viewer', 'device'],
      responses: octetResponses,
    },
    unreachable,
  )
  rawRoute(
    deps,
    {
      ...one,
      method: 'put',
      summary: 'Store a blob under the SHA-256 of its bytes; cut into chunks while it arrives',
      role: 'publisher',
      audit: 'blob.put',
      octets: `The blob, at most ${limits.maxBlobBytes} bytes`,
      responses: {
        201: { description: 'Stored, durably', content: { 'application/json': { schema: blobRefSchema } } },
      },
    },
    async ({ c, params, caller }) => {
      const store = need(services, 'chunkStore')
      expectType(c, 'application/octet-stream')
      const body = readBody(c, { what: 'the blob', maxBytes: limits.maxBlobBytes, idleMs: limits.bodyIdleMs })
      const ref = await storeBlob(store, params.sha256, body)
      await audit(deps, caller, 'blob.put', ref.sha256, { bytes: ref.size })
      return c.json(ref, 201)
    },
  )
  jsonRoute(
    deps,
    {
      method: 'get',
      path: '/v1/blobs/{sha256}/chunks',
      summary: 'Which chunks make a blob, in order',
      role: ['viewer', 'device'],
      params: shaParams,
      answer: blobRefSchema,
    },
    async ({ params }) => refOf(params.sha256),
  )
}
