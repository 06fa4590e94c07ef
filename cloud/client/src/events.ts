import { codeOf, type JobRecord } from '@tideway/core'
import { errors } from './errors.js'
import { type Http, path } from './http.js'
import { pause } from './pause.js'

const FIRST_WAIT_MS = 200
const LONGEST_WAIT_MS = 5_000
/** The cloud sends at least a comment every 15 s; a line silent for so long is dead. */
const SILENT_MS = 60_000

/**
 * The record of a job now and after every change, until it has ended. A line that breaks is opened again, for as long
 * as the cloud comes back within `giveUpMs`; then `CLOUD_UNREACHABLE` is thrown. Every (re)connection begins with the
 * record as it is, so nothing that matters is missed. Also throws `JOB_NOT_FOUND`.
 */
export async function* watchJob(
  http: Http,
  id: string,
  { signal, giveUpMs = 60_000 }: { signal?: AbortSignal; giveUpMs?: number } = {},
): AsyncGenerator<JobRecord> {
  let last: string | undefined
  let brokenSince: number | undefined
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      for await (const data of eventsOf(http, id, signal)) {
        brokenSince = undefined
        waitMs = FIRST_WAIT_MS
        if (data === last) continue
        last = data
        const job = JSON.parse(data) as JobRecord
        yield job
        if (job.status === 'finished' || job.status === 'failed') return
      }
    } catch (error) {
      signal?.throwIfAborted()
      const code = codeOf(error)
      if (code !== 'CLOUD_UNREACHABLE' && code !== 'CLOUD_TIMEOUT') throw error
      if (Date.now() - (brokenSince ??= Date.now()) > giveUpMs) throw error
    }
    await pause(waitMs, signal)
  }
}

async function* eventsOf(http: Http, id: string, signal?: AbortSignal): AsyncGenerator<string> {
  const headers = { Accept: 'text/event-stream' }
  const response = await http.send(`${path('v1', 'jobs', id)}/events`, { headers, signal })
  const reader = response.body?.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader()
  if (!reader) return
  let text = ''
  try {
    for (;;) {
      const part = await readPart(reader, http.url, signal)
      if (part === undefined) return
      text += part
      const events = text.split(/\r?\n\r?\n/)
      text = events.pop() ?? ''
      for (const event of events) {
        const fields = parseEvent(event)
        if (fields.event === 'failure') throw errors.CLOUD_UNREACHABLE({ url: http.url })
        if (fields.event === 'job') yield fields.data
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

async function readPart(
  reader: ReadableStreamDefaultReader<string>,
  url: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(errors.CLOUD_TIMEOUT({ url, timeoutMs: SILENT_MS })), SILENT_MS)
  })
  try {
    const { done, value } = await Promise.race([reader.read(), silence])
    return done ? undefined : value
  } catch (cause) {
    signal?.throwIfAborted()
    if (codeOf(cause)) throw cause
    throw errors.CLOUD_UNREACHABLE({ url }, cause)
  } finally {
    clearTimeout(timer)
  }
}

/** One event of the HTML standard's event stream format; lines that begin with a colon are comments. */
function parseEvent(text: string): { event: string; data: string } {
  let event = 'message'
  const data: string[] = []
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    const value = line.slice(colon + 1).replace(/^ /, '')
    if (line.startsWith('event:')) event = value
    if (line.startsWith('data:')) data.push(value)
  }
  return { event, data: data.join('\n') }
}
