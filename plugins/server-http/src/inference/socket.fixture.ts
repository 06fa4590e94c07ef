import { once } from 'node:events'
import { connect } from 'node:net'

/** One answer as it came over the wire. */
export interface WireAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Sends these parts, each on its own way, and reads all that comes until the server closes the connection. */
export async function exchange(url: string, ...parts: readonly (string | Uint8Array)[]): Promise<WireAnswer[]> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const received: Buffer[] = []
  socket.setNoDelay(true)
  socket.on('data', (part) => received.push(part))
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  // Not by `once`, which fails with a connection that is reset behind its answer.
  const closed = new Promise((resolve) => socket.once('close', resolve))
  for (const part of parts) {
    // The next one when this one has left, so that the server sees them apart.
    await new Promise((resolve) => socket.write(part, resolve))
    await new Promise(setImmediate)
  }
  await closed
  return answersIn(Buffer.concat(received).toString('latin1'))
}

/** A request line and its headers. */
export function head(method: string, target: string, ...lines: readonly string[]): string {
  return `${[`${method} ${target} HTTP/1.1`, 'Host: 127.0.0.1', ...lines].join('\r\n')}\r\n\r\n`
}

/** A chunk of a chunked body; the empty one ends it. */
export function chunk(data: string): string {
  return `${Buffer.byteLength(data).toString(16)}\r\n${data}\r\n`
}

/** Answers with a length, or until the end. */
export function answersIn(text: string): WireAnswer[] {
  const answers: WireAnswer[] = []
  let rest = text
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n')
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n')
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
      }),
    )
    const status = Number(first.split(' ')[1])
    const length = status < 200 ? 0 : Number(headers.get('content-length') ?? Number.POSITIVE_INFINITY)
    const body = rest.slice(end + 4, end + 4 + length)
    answers.push({ status, headers, body })
    rest = rest.slice(end + 4 + body.length)
  }
  return answers
}
