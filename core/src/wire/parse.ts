import type { z } from 'zod'
import { errors } from '../errors.js'

/** `path: what is wrong` for each bad field. */
export function issuesOf(error: z.ZodError): string[] {
  return error.issues.map((issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`)
}

/** Narrows a value from outside; throws `INPUT_REJECTED` naming every bad field. */
export function narrow<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value)
  if (!result.success) throw errors.INPUT_REJECTED({ what, issues: issuesOf(result.error) }, result.error)
  return result.data
}

/** Decodes and narrows JSON bytes; throws `TOO_LARGE`, `JSON_INVALID` or `INPUT_REJECTED`. */
export function parseJson<S extends z.ZodType>(
  schema: S,
  bytes: Uint8Array,
  what: string,
  maxBytes: number,
): z.output<S> {
  if (bytes.byteLength > maxBytes) throw errors.TOO_LARGE({ what, bytes: bytes.byteLength, maxBytes })
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw errors.JSON_INVALID({ what, bytes: bytes.byteLength }, cause)
  }
  return narrow(schema, value, what)
}

export function toJsonBytes(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value))
}
