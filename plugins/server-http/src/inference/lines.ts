import { errors as core } from '@tideway/core'

const LINE_END = 10

/**
 * The lines of a stream of bytes that are not empty. Throws `TOO_LARGE` as soon as one has more than `maxBytes`, before it is
 * there as a whole.
 */
export async function* linesOf(
  parts: AsyncIterable<Uint8Array>,
  { what, maxBytes }: { readonly what: string; readonly maxBytes: number },
): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = []
  let bytes = 0
  const add = (part: Uint8Array) => {
    bytes += part.byteLength
    if (bytes > maxBytes) throw core.TOO_LARGE({ what, bytes, maxBytes })
    held.push(part)
  }
  const taken = () => {
    const line = held.length === 1 ? (held[0] as Uint8Array) : new Uint8Array(Buffer.concat(held))
    held = []
    bytes = 0
    return line
  }
  for await (const part of parts) {
    let from = 0
    for (let end = part.indexOf(LINE_END); end >= 0; end = part.indexOf(LINE_END, from)) {
      add(part.subarray(from, end))
      from = end + 1
      const line = taken()
      if (!isBlank(line)) yield line
    }
    if (from < part.byteLength) add(part.subarray(from))
  }
  const last = taken()
  if (!isBlank(last)) yield last
}

/** White space as JSON has it. */
function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 32 || byte === 9 || byte === 13)
}
