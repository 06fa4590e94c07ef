import { createConnection } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { mutateBytes, Random } from '@tideway/test/support/mutate'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { answersIn, head } from '../inference/socket.fixture.js'
import { type Rig, startRig } from '../rig.fixture.js'
import { readPlainHead } from './plain-head.js'

const CASES = 2_000
const LANES = 16
/** Of a server that waits for more; and of one on a machine that has much else to do. */
const SILENT_MS = 250
const LONG_SILENT_MS = 2_000
const INFER = '/v2/models/echo/infer'
const serving = echoServing()
let rig: Rig

beforeAll(async () => {
  serving.takes(specOf('x', 'int8'))
  rig = await startRig({ serving }, { limits: { bodyIdleMs: 100, keepAliveTimeoutMs: 60_000 } })
})
afterAll(() => rig?.stop())

const json = '{"id":"1","inputs":[{"name":"x","datatype":"INT8","shape":[2],"data":[1,2]}]}'
const post = (...lines: readonly string[]) =>
  head('POST', INFER, 'Content-Type: application/json', `Content-Length: ${json.length}`, ...lines) + json
const SEEDS = [
  post(),
  post('X-Request-Id: r', 'Connection: keep-alive'),
  post() + post(),
  post('Connection: close') + post(),
  post() + head('GET', '/v2/health/live') + post(),
  head('GET', '/v2/models/echo') + head('GET', INFER) + post(),
  head('GET', '/v2/models/none/ready', 'Connection: close') + post(),
  post().replace(INFER, '/v2/models/none/infer'),
]
/** What makes a request another one, or none. */
const PIECES = [
  '\r\n',
  '\n',
  '\r',
  ' ',
  '\t',
  ':',
  '0',
  '+',
  ',',
  '\0',
  '\xe9',
  'Content-Length: 3\r\n',
  'X-A: b\r\n',
  ' x',
]
const PIECES_TOO = [
  'Transfer-Encoding: chunked\r\n',
  'Expect: 100-continue\r\n',
  'Connection: close\r\n',
  'GET / HTTP/1.1\r\n',
]

/** Whole requests that are changed in a few places, mostly of their heads. */
function bytesOf(number: number): Buffer {
  const random = new Random(number)
  let text = random.of(SEEDS)
  for (let times = random.below(3); times >= 0; times--) {
    const place = random.below(Math.min(text.length, 200))
    // Half of the time where a line begins.
    const at = random.below(2) === 0 ? place : text.indexOf('\n', place) + 1
    const piece = random.below(8) === 0 ? '' : random.of([...PIECES, ...PIECES_TOO])
    text = text.slice(0, at) + piece + text.slice(at + (at === place ? random.below(2) : 0))
  }
  const bytes = Buffer.from(text, 'latin1')
  return random.below(10) === 0 ? Buffer.from(mutateBytes(new Uint8Array(bytes), random)) : bytes
}

interface Answer {
  readonly status: number
  readonly body: string
}

/** What came for each part that was sent, and whether the server had closed the connection by then. */
interface Came {
  readonly answers: readonly Answer[]
  readonly closed: boolean
}

/** A connection on which each part is sent when the one before has been answered. */
class Conversation {
  readonly #socket = createConnection(Number(new URL(rig.url).port), '127.0.0.1')
  #received: Buffer[] = []
  #closed = false
  #heard: (() => void) | undefined

  constructor(private readonly silentMs: number) {
    this.#socket.setNoDelay(true)
    this.#socket.on('error', () => undefined)
    this.#socket.on('data', (part) => {
      this.#received.push(part)
      this.#heard?.()
    })
    this.#socket.on('close', () => {
      this.#closed = true
      this.#heard?.()
    })
  }

  /** `one`: no longer than until there is an answer. */
  async ask(part: Buffer, one: boolean): Promise<Came> {
    this.#received = []
    this.#socket.write(part)
    let answers: readonly Answer[] = []
    while (!this.#closed && !(one && answers.length > 0) && (await this.#hears())) answers = this.#answers()
    return { answers, closed: this.#closed }
  }

  end(): void {
    this.#socket.destroy()
  }

  #hears(): Promise<boolean> {
    return new Promise((resolve) => {
      const silent = setTimeout(() => resolve(false), this.silentMs)
      this.#heard = () => {
        clearTimeout(silent)
        resolve(true)
      }
    })
  }

  #answers(): readonly Answer[] {
    const answers = answersIn(Buffer.concat(this.#received).toString('latin1'))
    return answers.map(({ status, body }) => ({ status, body: plainly(body) }))
  }
}

/** Without the ids of requests, of which no two are alike. */
function plainly(body: string): string {
  return body.replace(/[0-9a-f]{8}-[0-9a-f-]{27}-\d+/g, 'ID')
}

/** The requests at the beginning that are read plainly, and what is behind them. */
function partsOf(bytes: Buffer): readonly [plain: readonly Buffer[], rest: Buffer] {
  const plain: Buffer[] = []
  let rest = bytes
  for (;;) {
    const head = readPlainHead(rest)
    const size = head === undefined ? 0 : head.bytes.byteLength + head.bodyBytes
    if (head === undefined || size > rest.byteLength) return [plain, rest]
    plain.push(rest.subarray(0, size))
    rest = rest.subarray(size)
  }
}

// Who asks for something else first is read by Node from then on.
const other = Buffer.from(head('GET', '/v2/health/live?read=by-node'))

async function answersTo(number: number, silentMs: number, byNode: boolean): Promise<readonly Came[]> {
  const [plain, rest] = partsOf(bytesOf(number))
  const conversation = new Conversation(silentMs)
  if (byNode) await conversation.ask(other, true)
  const came: Came[] = []
  for (const part of plain) came.push(await conversation.ask(part, true))
  if (rest.byteLength > 0) came.push(await conversation.ask(rest, false))
  conversation.end()
  return came
}

/**
 * Both in words that can be compared. Of good requests and a bad one that come at once, Node answers the good ones or not, as it
 * has got to them or not when it comes to the bad one.
 */
function withoutRaces(both: readonly (readonly Came[])[]): readonly (readonly unknown[])[] {
  const isBad = ({ answers }: Came) => answers.some(({ status, body }) => status === 400 && body === '')
  const races = both.every((came) => came.at(-1)?.closed) && both.some((came) => came.some(isBad))
  return races ? both.map((came) => [...came.slice(0, -1), 'refused']) : both
}

it(`${CASES} requests, good and bad, are answered as they are by Node's own reader`, async () => {
  let plain = 0
  const both = async (number: number, silentMs: number) =>
    withoutRaces(await Promise.all([false, true].map((byNode) => answersTo(number, silentMs, byNode))))
  const lane = async (from: number) => {
    for (let number = from; number < CASES; number += LANES) {
      if (partsOf(bytesOf(number))[0].length > 0) plain++
      let [own, byNode] = await both(number, SILENT_MS)
      if (!isDeepStrictEqual(own, byNode)) [own, byNode] = await both(number, LONG_SILENT_MS)
      const bytes = JSON.stringify(bytesOf(number).toString('latin1'))
      expect(own, `case ${number}: ${bytes}`).toEqual(byNode)
    }
  }
  await Promise.all(Array.from({ length: LANES }, (_, from) => lane(from)))
  // Of each kind there were many.
  expect(plain).toBeGreaterThan(CASES / 5)
  expect(CASES - plain).toBeGreaterThan(CASES / 5)
})
