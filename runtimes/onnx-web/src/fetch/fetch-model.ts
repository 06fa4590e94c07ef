import { firstLine, errors as shared } from '@tideway/core'
import { errors } from '../errors.js'
import { Gathered } from './gathered.js'

/** Where a model may come from beside bytes: an address, what was fetched already, a file, a stream of bytes. */
export type ModelSource = string | URL | Response | Blob | ReadableStream<Uint8Array>

export interface FetchModelOptions {
  /** More bytes than these are refused, as soon as they are announced or have arrived; 512 MiB when left out. */
  readonly maxModelBytes?: number
  /** Told after every piece; `total` is missing where the server does not say it. */
  readonly onProgress?: (progress: { readonly bytes: number; readonly total?: number }) => void
  readonly signal?: AbortSignal
  /** Headers, credentials and the like, for an address. */
  readonly request?: Omit<RequestInit, 'signal'>
}

export const DEFAULT_MAX_MODEL_BYTES = 512 * 2 ** 20

/**
 * Reads a model into memory piece by piece. Throws `TOO_LARGE` above the limit, when nothing more is read;
 * `MODEL_FETCH_FAILED` when it does not arrive as a whole; the signal's reason when it is aborted.
 *
 * @example
 * const bytes = await fetchModel('/models/digits.onnx', { onProgress: ({ bytes }) => (bar.value = bytes) })
 */
export async function fetchModel(source: ModelSource, options: FetchModelOptions = {}): Promise<Uint8Array> {
  const { maxModelBytes: maxBytes = DEFAULT_MAX_MODEL_BYTES, onProgress, signal } = options
  const url = nameOf(source)
  try {
    signal?.throwIfAborted()
    const { stream, total } = await open(source, options)
    const refuse = async (bytes: number) => {
      // The limit is what is told, whatever comes of giving up the rest.
      await stream.cancel().catch(() => undefined)
      throw shared.TOO_LARGE({ what: `the model (${url})`, bytes, maxBytes })
    }
    if ((total ?? 0) > maxBytes) return await refuse(total ?? 0)
    const gathered = new Gathered(total, maxBytes)
    const reader = stream.getReader()
    const cancel = () => void reader.cancel(signal?.reason).catch(() => undefined)
    signal?.addEventListener('abort', cancel)
    try {
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        if (gathered.length + piece.value.length > maxBytes) {
          reader.releaseLock()
          return await refuse(gathered.length + piece.value.length)
        }
        gathered.add(piece.value)
        onProgress?.({ bytes: gathered.length, ...(total !== undefined && { total }) })
      }
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
    signal?.throwIfAborted()
    if (total !== undefined && gathered.length !== total)
      throw errors.MODEL_FETCH_FAILED({ url, reason: `${gathered.length} of ${total} bytes arrived` })
    return gathered.bytes()
  } catch (cause) {
    if (signal?.aborted) throw signal.reason
    if (cause instanceof Error && cause.name === 'TidewayError') throw cause
    // An address with a password in it is refused with a message that has it, too.
    const said = firstLine(cause)
    const reason = typeof source === 'string' || source instanceof URL ? said.replaceAll(String(source), url) : said
    throw errors.MODEL_FETCH_FAILED({ url, reason }, reason === said ? cause : undefined)
  }
}

interface Opened {
  readonly stream: ReadableStream<Uint8Array>
  readonly total?: number
}

async function open(source: ModelSource, { signal, request }: FetchModelOptions): Promise<Opened> {
  if (source instanceof ReadableStream) return { stream: source }
  if (source instanceof Blob) return { stream: source.stream(), total: source.size }
  const response = source instanceof Response ? source : await fetch(source, { ...request, signal })
  const { status, body, headers } = response
  if (!response.ok || body === null) {
    await body?.cancel()
    const reason = response.ok
      ? 'its answer has no body'
      : `its server answered ${status} ${response.statusText}`.trim()
    throw errors.MODEL_FETCH_FAILED({ url: nameOf(source), status, reason })
  }
  const length = headers.get('content-length')
  // Of a compressed body the header tells what goes over the wire, not what comes out.
  const isWhole =
    length !== null && /^\d+$/.test(length) && (headers.get('content-encoding') ?? 'identity') === 'identity'
  return { stream: body, ...(isWhole && { total: Number(length) }) }
}

/** What errors call a source: addresses without what may be secret in them. */
function nameOf(source: ModelSource): string {
  if (source instanceof ReadableStream) return 'a stream'
  if (source instanceof Blob) return 'a file'
  const text = source instanceof Response ? source.url : String(source)
  if (text === '') return 'an answer'
  const bare = text.split(/[?#]/, 1)[0] ?? ''
  return bare.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1')
}
