import type { IncomingMessage } from 'node:http'
import { errors } from '@tideway/core'

/** The body as JSON. Reading stops at the limit, whatever the headers say. Throws `TOO_LARGE`, `JSON_INVALID`. */
export async function readJson(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  const declared = Number(request.headers['content-length'] ?? 0)
  if (declared > maxBytes) throw errors.TOO_LARGE({ what: 'the body', bytes: declared, maxBytes })
  const parts: Buffer[] = []
  let bytes = 0
  // Breaking out of the plain iterator would destroy the connection before the answer is sent.
  for await (const part of request.iterator({ destroyOnReturn: false })) {
    if (!Buffer.isBuffer(part)) continue
    bytes += part.byteLength
    if (bytes > maxBytes) throw errors.TOO_LARGE({ what: 'the body', bytes, maxBytes })
    parts.push(part)
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts)))
  } catch (cause) {
    throw errors.JSON_INVALID({ what: 'the body', bytes }, cause)
  }
}
