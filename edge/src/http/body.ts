import type { IncomingMessage } from 'node:http'
import { errors, joinAligned } from '@tideway/core'

/**
 * The whole body, copied once, so that byte `at` of it lies where any view may begin. Reading stops at the limit, whatever
 * the headers say. Throws `TOO_LARGE`.
 */
export async function readBody(request: IncomingMessage, maxBytes: number, at: number): Promise<Uint8Array> {
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
  return joinAligned(parts, at)
}
