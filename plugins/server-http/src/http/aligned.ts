import type { IncomingMessage } from 'node:http'
import { errors as core, joinAligned } from '@tideway/core'
import type { Context } from 'hono'
import { errors } from '../errors.js'
import { type BodyLimits, readBody } from './body.js'
import { decoded, decoderOf } from './encoding.js'
import type { AppEnv } from './route.js'

/** Where a body comes from: its headers by lower-case name, and its bytes in the parts in which they arrive. */
export interface BodySource {
  readonly header: (name: string) => string | undefined
  readonly parts: (limits: BodyLimits) => Promise<readonly Uint8Array[]>
}

/** Node's own request: read as it is, since the adapter's `arrayBuffer()` copies all of it once more. */
export function sourceOf(incoming: IncomingMessage): BodySource {
  return {
    header: (name) => incoming.headers[name] as string | undefined,
    parts: (limits) => partsOf(incoming, limits),
  }
}

/** Of a request behind the adapter; in a process without a listener (app.request) there is only the web stream, and no `env`. */
export function sourceIn(c: Context<AppEnv>): BodySource {
  const incoming = (c.env as AppEnv['Bindings'] | undefined)?.incoming
  if (incoming) return sourceOf(incoming)
  return { header: (name) => c.req.header(name), parts: (limits) => streamed(c, limits) }
}

/**
 * The whole body, copied once: into memory of its own, in which byte `at` of the body is aligned for views of any type. Where
 * none will be taken (`at` undefined), a body that came in one part stays where it came. Throws as `readBody`,
 * `CONTENT_ENCODING_UNSUPPORTED`, and as `decoded`.
 */
export async function readAligned(source: BodySource, limits: BodyLimits, at: number | undefined): Promise<Uint8Array> {
  const decoder = decoderOf(source.header('content-encoding'))
  const declared = Number(source.header('content-length') ?? 0)
  if (declared > limits.maxBytes)
    throw core.TOO_LARGE({ what: limits.what, bytes: declared, maxBytes: limits.maxBytes })
  const parts = await source.parts(limits)
  const whole = decoder ? [await decoded(decoder, parts, limits)] : parts
  return at === undefined && whole.length === 1 ? (whole[0] as Uint8Array) : joinAligned(whole, at ?? 0)
}

async function streamed(c: Context<AppEnv>, limits: BodyLimits): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = []
  for await (const part of readBody(c, limits)) parts.push(part)
  return parts
}

/** What arrives, with one timer that each part sets back. What is left unread when it throws is drained by who answers. */
function partsOf(incoming: IncomingMessage, { what, maxBytes, idleMs }: BodyLimits): Promise<Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = []
    let received = 0
    const settle = (end: () => void) => {
      clearTimeout(timer)
      incoming.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose)
      end()
    }
    const fail = (error: Error) =>
      settle(() => {
        incoming.pause()
        reject(error)
      })
    const timer = setTimeout(() => fail(errors.BODY_STALLED({ idleMs })), idleMs)
    const onData = (part: Buffer) => {
      timer.refresh()
      received += part.byteLength
      if (received > maxBytes) fail(core.TOO_LARGE({ what, bytes: received, maxBytes }))
      else parts.push(part)
    }
    const onEnd = () => settle(() => resolve(parts))
    const onError = (cause: Error) => fail(errors.REQUEST_ABORTED({}, cause))
    const onClose = () => fail(errors.REQUEST_ABORTED({}))
    if (incoming.destroyed) return onClose()
    incoming.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose)
  })
}
