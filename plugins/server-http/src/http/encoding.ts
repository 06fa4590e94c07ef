import { promisify } from 'node:util'
import { gunzip, inflate } from 'node:zlib'
import { errors as core } from '@tideway/core/serving'
import { errors } from '../errors.js'
import type { BodyLimits } from './body.js'

type Decoder = (bytes: Uint8Array, options: { maxOutputLength: number }) => Promise<Buffer>

/** RFC 9110, section 8.4.1; those that Triton's clients use. "deflate" is what zlib calls it. */
const DECODERS: ReadonlyMap<string, Decoder> = new Map([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
])

/** How a body is to be decoded; undefined for one that is as it is. Throws `CONTENT_ENCODING_UNSUPPORTED`. */
export function decoderOf(contentEncoding: string | undefined): Decoder | undefined {
  const encoding = (contentEncoding ?? '').trim().toLowerCase()
  if (encoding === '' || encoding === 'identity') return undefined
  const decoder = DECODERS.get(encoding)
  if (!decoder) throw errors.CONTENT_ENCODING_UNSUPPORTED({ encoding: encoding.slice(0, 80) })
  return decoder
}

/**
 * The body decoded. The limit holds for what comes out, too, so that few bytes cannot become many. Throws `TOO_LARGE`,
 * `BODY_ENCODING_INVALID`.
 */
export async function decoded(
  decoder: Decoder,
  parts: readonly Uint8Array[],
  { what, maxBytes }: BodyLimits,
): Promise<Uint8Array> {
  try {
    return await decoder(Buffer.concat(parts), { maxOutputLength: maxBytes })
  } catch (cause) {
    if (cause instanceof RangeError) throw core.TOO_LARGE({ what, bytes: maxBytes + 1, maxBytes })
    throw errors.BODY_ENCODING_INVALID({ what }, cause)
  }
}
