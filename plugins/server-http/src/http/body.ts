import { errors as core } from '@tideway/core/serving'
import type { Context } from 'hono'
import { errors } from '../errors.js'

export interface BodyLimits {
  /** What the body is, for messages. */
  readonly what: string
  readonly maxBytes: number
  readonly idleMs: number
}

/** Nested deeper than any document of ours; beyond it, code that recurses over the value would run out of stack. */
const MAX_JSON_DEPTH = 64

/** Bodies of so little arrive whole in the time that a larger one may be silent. */
const SMALL_BODY_BYTES = 256 * 1024

/**
 * The body's bytes as they arrive. Throws `TOO_LARGE` as soon as more than `maxBytes` are declared or have come,
 * `BODY_STALLED`, `REQUEST_ABORTED`.
 */
export async function* readBody(c: Context, { what, maxBytes, idleMs }: BodyLimits): AsyncGenerator<Uint8Array> {
  const declared = Number(c.req.header('content-length') ?? 0)
  if (declared > maxBytes) throw core.TOO_LARGE({ what, bytes: declared, maxBytes })
  const reader = c.req.raw.body?.getReader()
  if (!reader) return
  let received = 0
  for (;;) {
    const { done, value } = await inTime(reader.read(), idleMs)
    if (done) return
    received += value.byteLength
    if (received > maxBytes) throw core.TOO_LARGE({ what, bytes: received, maxBytes })
    yield value
  }
}

/** The read, unless it takes longer than `idleMs`. Throws `BODY_STALLED`, `REQUEST_ABORTED`. */
async function inTime<T>(reading: Promise<T>, idleMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(errors.BODY_STALLED({ idleMs })), idleMs)
  })
  const read = reading.catch((cause: unknown) => {
    throw errors.REQUEST_ABORTED({}, cause)
  })
  try {
    return await Promise.race([read, stalled])
  } finally {
    clearTimeout(timer)
  }
}

/** The whole body; throws as `readBody`. */
export async function readBytes(c: Context, limits: BodyLimits): Promise<Uint8Array<ArrayBuffer>> {
  const declared = Number(c.req.header('content-length') ?? Number.POSITIVE_INFINITY)
  // Node lets no more through than was declared, and reading at once is cheaper than a web stream.
  if (declared <= Math.min(SMALL_BODY_BYTES, limits.maxBytes))
    return new Uint8Array(await inTime(c.req.raw.arrayBuffer(), limits.idleMs))
  const parts: Uint8Array[] = []
  for await (const part of readBody(c, limits)) parts.push(part)
  return new Uint8Array(Buffer.concat(parts))
}

/**
 * The body as JSON, with its size. Throws `CONTENT_TYPE_UNSUPPORTED` (also without a content type: a page of another
 * origin may send such requests unasked), `JSON_INVALID`, `JSON_TOO_DEEP`, and as `readBody`.
 */
export async function readJson(c: Context, limits: BodyLimits): Promise<{ value: unknown; bytes: number }> {
  expectType(c, 'application/json')
  const bytes = await readBytes(c, limits)
  const value = parse(bytes, limits.what)
  if (isDeeper(value, MAX_JSON_DEPTH)) throw errors.JSON_TOO_DEEP({ maxDepth: MAX_JSON_DEPTH })
  return { value, bytes: bytes.byteLength }
}

/** Throws `CONTENT_TYPE_UNSUPPORTED`. */
export function expectType(c: Context, expected: 'application/json' | 'application/octet-stream'): void {
  const contentType = c.req.header('content-type') ?? ''
  const essence = contentType.split(';', 1)[0]!.trim().toLowerCase()
  if (essence !== expected) throw errors.CONTENT_TYPE_UNSUPPORTED({ contentType: contentType.slice(0, 80), expected })
}

function parse(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw core.JSON_INVALID({ what, bytes: bytes.byteLength }, cause)
  }
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  const items: readonly unknown[] = Array.isArray(value) ? value : Object.values(value)
  return items.some((item) => isDeeper(item, levels - 1))
}
