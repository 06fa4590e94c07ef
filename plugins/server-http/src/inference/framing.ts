import { errors as core } from '@tideway/core'
import { errors } from '../errors.js'

const HEADER = 'Inference-Header-Content-Length'

/** Headers of a request, by lower-case name. */
type Header = (name: string) => string | undefined

/**
 * The JSON's length where binary tensors follow it (Triton, docs/protocol/extension_binary_data.md); undefined where the
 * body is JSON alone. Throws `INPUT_REJECTED`, and as `checkType`.
 */
export function headerBytesOf(header: Header): number | undefined {
  const text = header(HEADER.toLowerCase())
  if (text === undefined) {
    checkType(header)
    return undefined
  }
  if (!/^\d{1,15}$/.test(text)) {
    const issues = [`${HEADER}: must be a whole number of bytes from 0`]
    throw core.INPUT_REJECTED({ what: 'the inference request', issues })
  }
  return Number(text)
}

/**
 * Throws `CONTENT_TYPE_UNSUPPORTED` for what a page of another origin may send unasked: any type but JSON, and none at
 * all. Triton's clients send none; those of pages have an Origin, which tells them apart. Of a request in binary the type
 * does not matter: no page may send its header unasked.
 */
export function checkType(header: Header): void {
  const contentType = header('content-type') ?? ''
  const essence = contentType.split(';', 1)[0]!.trim().toLowerCase()
  if (essence === 'application/json' || (essence === '' && header('origin') === undefined)) return
  throw errors.CONTENT_TYPE_UNSUPPORTED({ contentType: contentType.slice(0, 80), expected: 'application/json' })
}
