/** Deeper values are stored as null: PostgreSQL parses JSON by recursion, and its stack is small. */
export const MAX_JSON_DEPTH = 64

/**
 * JSON text that `jsonb` takes whatever a device sent: U+0000 and lone surrogates, which PostgreSQL cannot hold, become
 * U+FFFD, and what is nested deeper than `MAX_JSON_DEPTH` becomes null. A report must not be able to stop the batch
 * that it arrived in.
 */
export function safeJson(value: unknown): string {
  const text = JSON.stringify(shallow(value, MAX_JSON_DEPTH)) ?? 'null'
  // JSON.stringify escapes surrogates only when they are lone; the second branch steps over every other escape.
  return text.includes('\\u') ? text.replace(/\\(?:u0000|ud[89a-f]..|.)/g, replaceEscape) : text
}

/** Text without U+0000; lone surrogates become U+FFFD where the drivers encode it as UTF-8. */
export function safeText(value: string): string {
  return value.replaceAll('\0', '\uFFFD')
}

function replaceEscape(escape: string): string {
  return escape.length === 6 ? '\\ufffd' : escape
}

/** The value itself when it is not too deep, else a copy cut off there. */
function shallow(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth === 0) return null
  if (Array.isArray(value)) {
    let copy: unknown[] | undefined
    for (const [index, item] of value.entries()) {
      const kept = shallow(item, depth - 1)
      if (kept === item) continue
      copy ??= value.slice()
      copy[index] = kept
    }
    return copy ?? value
  }
  let copy: Record<string, unknown> | undefined
  for (const [key, item] of Object.entries(value)) {
    const kept = shallow(item, depth - 1)
    if (kept === item) continue
    copy ??= Object.fromEntries(Object.entries(value))
    // Not by assignment, which would treat `__proto__` as the prototype.
    Object.defineProperty(copy, key, { value: kept, enumerable: true, configurable: true, writable: true })
  }
  return copy ?? value
}
