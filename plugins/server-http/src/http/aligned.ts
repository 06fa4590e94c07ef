import type { IncomingMessage } from 'node:http'
import { errors as core } from '@tideway/core/serving'
import type { Context } from 'hono'
import { errors } from '../errors.js'
import { type BodyLimits, readBody } from './body.js'
import { decoded, decoderOf } from './encoding.js'
import type { AppEnv } from './route.js'
import { ALIGNMENT, alignedBytes } from './slab.js'
import { stallWatch } from './stalls.js'

/** A header of a request by its lower-case name. */
export type Header = (name: string) => string | undefined

/** Where a body comes from: its headers, and its bytes. */
export interface BodySource {
  readonly header: Header
  /** What `make` reads out of the headers; made once for requests whose heads are one and the same. */
  derive<T>(make: (header: Header) => T): T
  /** Together as `together` puts them; at once where all is there. */
  read<T>(limits: BodyLimits, together: Together<T>): T | Promise<T>
}

export type Together<T> = (parts: readonly Uint8Array[]) => T | Promise<T>

/** Node's own request: read as it is, since the adapter's `arrayBuffer()` copies all of it once more. */
export function sourceOf(incoming: IncomingMessage): BodySource {
  const header: Header = (name) => incoming.headers[name] as string | undefined
  return {
    header,
    derive: (make) => make(header),
    read: (limits, together) => readIncoming(incoming, limits, together),
  }
}

/** Of a request behind the adapter; in a process without a listener (app.request) there is only the web stream, and no `env`. */
export function sourceIn(c: Context<AppEnv>): BodySource {
  const incoming = (c.env as AppEnv['Bindings'] | undefined)?.incoming
  if (incoming) return sourceOf(incoming)
  const header: Header = (name) => c.req.header(name)
  return {
    header,
    derive: (make) => make(header),
    read: async (limits, together) => together(await streamed(c, limits)),
  }
}

/**
 * The whole body, copied once at most: to where byte `at` of the body is aligned for views of any type. Where none will be
 * taken (`at` undefined), a body that came in one part stays where it came. Throws as `readBody`,
 * `CONTENT_ENCODING_UNSUPPORTED`, and as `decoded`.
 */
export function readAligned(
  source: BodySource,
  limits: BodyLimits,
  at: number | undefined,
): Uint8Array | Promise<Uint8Array> {
  const { decoder, declared } = source.derive(codingOf)
  if (declared > limits.maxBytes)
    throw core.TOO_LARGE({ what: limits.what, bytes: declared, maxBytes: limits.maxBytes })
  const whole = (parts: readonly Uint8Array[]) =>
    at === undefined && parts.length === 1 ? (parts[0] as Uint8Array) : join(parts, at ?? 0)
  if (decoder === undefined) return source.read(limits, whole)
  return source.read(limits, async (parts) => whole([await decoded(decoder, parts, limits)]))
}

function codingOf(header: Header) {
  return { decoder: decoderOf(header('content-encoding')), declared: Number(header('content-length') ?? 0) }
}

async function streamed(c: Context<AppEnv>, limits: BodyLimits): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = []
  for await (const part of readBody(c, limits)) parts.push(part)
  return parts
}

/** What arrives. What is left unread when it throws is drained by who answers. */
function readIncoming<T>(
  incoming: IncomingMessage,
  { what, maxBytes, idleMs }: BodyLimits,
  together: Together<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = []
    let received = 0
    let isSettled = false
    const watch = stallWatch(idleMs)
    // Listeners stay, since taking them off costs more than a call that does nothing.
    const settle = () => {
      if (isSettled) return false
      isSettled = true
      watch.end(awaited)
      return true
    }
    const fail = (error: Error) => {
      if (!settle()) return
      incoming.pause()
      reject(error)
    }
    const awaited = watch.begin(() => fail(errors.BODY_STALLED({ idleMs })))
    if (incoming.destroyed) return fail(errors.REQUEST_ABORTED({}))
    incoming.on('data', (part: Buffer) => {
      if (isSettled) return
      watch.heard(awaited)
      received += part.byteLength
      if (received > maxBytes) fail(core.TOO_LARGE({ what, bytes: received, maxBytes }))
      else parts.push(part)
    })
    incoming.on('end', () => {
      if (!settle()) return
      try {
        resolve(together(parts))
      } catch (cause) {
        reject(cause)
      }
    })
    incoming.on('error', (cause) => fail(errors.REQUEST_ABORTED({}, cause)))
    incoming.on('close', () => isSettled || fail(errors.REQUEST_ABORTED({})))
  })
}

/** The parts behind one another, with byte `at` where a view of any type may begin. One that lies so is not copied. */
function join(parts: readonly Uint8Array[], at: number): Uint8Array {
  const [first] = parts
  if (first !== undefined && parts.length === 1 && (first.byteOffset + at) % ALIGNMENT === 0) return first
  let size = 0
  for (const { byteLength } of parts) size += byteLength
  const whole = alignedBytes(size, at)
  let end = 0
  for (const part of parts) {
    whole.set(part, end)
    end += part.byteLength
  }
  return whole
}
