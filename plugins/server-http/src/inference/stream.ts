import {
  decodeInferRequest,
  encodeInferAnswer,
  type InferContext,
  type InferForm,
  type InferRequest,
  type InferTarget,
  ordered,
  runMeasured,
  type Serving,
  type Statistics,
  silentLogger,
} from '@tideway/core'
import type { Context } from 'hono'
import { type SSEStreamingApi, stream, streamSSE } from 'hono/streaming'
import { errors } from '../errors.js'
import { readBody } from '../http/body.js'
import { failureReply } from '../http/failure.js'
import type { AppEnv, Deps } from '../http/route.js'
import { need } from '../services.js'
import { contextOf, wantedIn } from './context.js'
import { linesOf } from './lines.js'
import { targetOf } from './target.js'
import { stickyKeyIn, toldOf } from './told.js'

const TYPES = /^application\/(x-ndjson|jsonl|x-jsonlines)$/
/** Lines that are run at once: enough to fill a batch, and no more than that is read ahead of what was written. */
const AT_ONCE = 32

/** What came of one line: JSON, and whether it is an answer. */
interface Told {
  readonly event: 'answer' | 'failure'
  readonly text: string
}

/**
 * Runs a model on each line of the body, an inference request in JSON, and answers each with a line, in their order and while
 * they come: JSON lines, or server-sent events where the client accepts them, whose ids are the numbers of the lines. A bad
 * line fails alone. The version is that of the beginning, wherever an alias moves meanwhile; under a traffic policy it is one as
 * long as that stands: by the key of the stream, or by one draw for all of it, and under an A/B test it is one unit.
 *
 * Nothing is read further ahead than `AT_ONCE` lines of what the client has taken. A stream that ends before its body does says
 * why in a last line: a line too long, a body that stalled, a server that stops.
 */
export function streamHandler(deps: Deps, statistics: Statistics) {
  const { services, limits, stopping, stickyHeader } = deps
  return async (c: Context<AppEnv>): Promise<Response> => {
    checkType(c.req.header('content-type') ?? '')
    const serving = need(services, 'serving')
    const { model, version: wanted } = targetOf(c)
    const { version } = await serving.metadata(model, wanted)
    const isDivided = wanted === undefined && serving.hasPolicy?.(model) === true
    const target = { model, version: isDivided ? undefined : String(version.version) }
    const gone = new AbortController()
    const requestId = c.get('requestId')
    const header = (name: string) => c.req.header(name)
    const stickyKey = stickyKeyIn(header, stickyHeader)
    const context = contextOf(wantedIn(header), gone.signal, { requestId, stickyKey, draw: Math.random() })
    const line = { what: 'a line of the request', maxBytes: limits.maxInferBodyBytes }
    const told = (error: unknown): Told => {
      const at = { method: 'POST', path: c.req.path, requestId }
      return { event: 'failure', text: JSON.stringify(failureReply(error, at, services.logger ?? silentLogger).body) }
    }
    const parts = untilStopped(
      readBody(c, { ...line, maxBytes: Number.POSITIVE_INFINITY, idleMs: limits.bodyIdleMs }),
      stopping,
    )
    const answers = ordered(linesOf(parts, line), AT_ONCE, (bytes) =>
      answer({ serving, statistics }, target, bytes, context).catch(told),
    )
    // Each line says who answered it; under a policy that is known with the first one.
    const [name = '', value] = target.version === undefined ? [] : toldOf(target.version, undefined)
    if (value !== undefined) c.header(name, value)
    return isForEvents(c) ? events(c, answers, told, gone) : jsonLines(c, answers, told, gone)
  }
}

async function answer(
  means: { readonly serving: Serving; readonly statistics: Statistics },
  target: InferTarget,
  bytes: Uint8Array,
  context: InferContext,
): Promise<Told> {
  const form: InferForm<InferRequest, string> = {
    decode: () => decodeInferRequest(bytes),
    // A line is text: outputs that are asked for in binary come in JSON.
    encode: (given, request) => encodeInferAnswer(given, { ...request, binaryOutputs: undefined }) as string,
    bytesIn: bytes.byteLength,
    bytesOut: (text) => Buffer.byteLength(text),
  }
  return { event: 'answer', text: await runMeasured(means, target, form, context) }
}

function jsonLines(
  c: Context,
  answers: AsyncIterable<Told>,
  told: (error: unknown) => Told,
  gone: AbortController,
): Response {
  c.header('Content-Type', 'application/x-ndjson')
  return stream(c, async (out) => {
    out.onAbort(() => gone.abort())
    for await (const { text } of ending(answers, told, gone.signal)) await out.write(`${text}\n`)
  })
}

function events(
  c: Context,
  answers: AsyncIterable<Told>,
  told: (error: unknown) => Told,
  gone: AbortController,
): Response {
  return streamSSE(c, async (out: SSEStreamingApi) => {
    out.onAbort(() => gone.abort())
    let id = 0
    for await (const { event, text } of ending(answers, told, gone.signal))
      await out.writeSSE({ id: String(++id), event, data: text })
  })
}

/** The answers, and at the end why there are no more, unless the body was read to its end or nobody listens. */
async function* ending(
  answers: AsyncIterable<Told>,
  told: (error: unknown) => Told,
  gone: AbortSignal,
): AsyncGenerator<Told> {
  try {
    for await (const answer of answers) {
      if (gone.aborted) return
      yield answer
    }
  } catch (error) {
    if (!gone.aborted) yield told(error)
  }
}

/** What arrives until the server stops: then it throws, so that what was taken is answered and no more is. */
async function* untilStopped(parts: AsyncGenerator<Uint8Array>, stopping: AbortSignal): AsyncGenerator<Uint8Array> {
  let stop: () => void = () => undefined
  const stopped = new Promise<'stopped'>((resolve) => (stop = () => resolve('stopped')))
  if (stopping.aborted) stop()
  else stopping.addEventListener('abort', stop, { once: true })
  try {
    for (;;) {
      const next = await Promise.race([parts.next(), stopped])
      if (next === 'stopped') throw errors.STREAM_STOPPED({})
      if (next.done) return
      yield next.value
    }
  } finally {
    stopping.removeEventListener('abort', stop)
  }
}

function isForEvents(c: Context): boolean {
  return /\btext\/event-stream\b/i.test(c.req.header('accept') ?? '')
}

/** Also so that a page of another origin cannot send such requests unasked. */
function checkType(contentType: string): void {
  const essence = contentType.split(';', 1)[0]!.trim().toLowerCase()
  if (TYPES.test(essence)) return
  throw errors.CONTENT_TYPE_UNSUPPORTED({ contentType: contentType.slice(0, 80), expected: 'application/x-ndjson' })
}
