import { codeOf, firstLine, errors as shared } from '@tideway/core/runtime'
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
 * `MODEL_FETCH_FAILED` when it does not arrive as a whole; the signal's reason when it is aborted; `INPUT_REJECTED` for a
 * limit that is none.
 *
 * @example
 * const bytes = await fetchModel('/models/digits.onnx', { onProgress: ({ bytes }) => (bar.value = bytes) })
 */
export async function fetchModel(source: ModelSource, options: FetchModelOptions = {}): Promise<Uint8Array> {
  const { maxModelBytes: maxBytes = DEFAULT_MAX_MODEL_BYTES, signal } = options
  if (!(maxBytes > 0))
    throw shared.INPUT_REJECTED({ what: 'fetchModel', issues: [`maxModelBytes: ${maxBytes} is no number above 0`] })
  const url = nameOf(source)
  try {
    signal?.throwIfAborted()
    return await gather(await open(source, options), url, { ...options, maxModelBytes: maxBytes })
  } catch (cause) {
    if (signal?.aborted) throw signal.reason
    if (codeOf(cause) !== undefined) throw cause
    // An address with a password in it is refused with a message that has it, too.
    const said = firstLine(cause)
    const reason = typeof source === 'string' || source instanceof URL ? said.replaceAll(String(source), url) : said
    throw errors.MODEL_FETCH_FAILED({ url, reason }, reason === said ? cause : undefined)
  }
}

/** Reads a stream to its end; whatever goes wrong, the rest is given up. */
async function gather(
  { stream, total }: Opened,
  url: string,
  { maxModelBytes: maxBytes, onProgress, signal }: FetchModelOptions & { readonly maxModelBytes: number },
): Promise<Uint8Array> {
  const reader = stream.getReader()
  const giveUp = (): Promise<void> => reader.cancel(signal?.reason).catch(() => undefined)
  const refuse = (bytes: number): never => {
    throw shared.TOO_LARGE({ what: `the model (${url})`, bytes, maxBytes })
  }
  const abort = (): void => void giveUp()
  signal?.addEventListener('abort', abort)
  try {
    if (total !== undefined && total > maxBytes) refuse(total)
    const gathered = new Gathered(total, maxBytes)
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      if (gathered.length + piece.value.length > maxBytes) refuse(gathered.length + piece.value.length)
      gathered.add(piece.value)
      onProgress?.({ bytes: gathered.length, ...(total !== undefined && { total }) })
    }
    signal?.throwIfAborted()
    if (total !== undefined && gathered.length !== total)
      throw errors.MODEL_FETCH_FAILED({ url, reason: `${gathered.length} of ${total} bytes arrived` })
    return gathered.bytes()
  } catch (error) {
    await giveUp()
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
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
