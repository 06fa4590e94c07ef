import { errors } from '../errors.js'
import type { Header } from '../http/aligned.js'

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
