import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import type { Serving, Tensors } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { answersIn, exchange, head } from '../inference/socket.fixture.js'
import { type Rig, startRig } from '../rig.fixture.js'

const INFER = '/v2/models/echo/infer'
const rigs: Rig[] = []
let echo: ReturnType<typeof echoServing>

beforeEach(() => {
  echo = echoServing()
  echo.takes(specOf('x', 'int8'))
})
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.stop()
})

async function start(limits: object = {}, serving: Serving = echo): Promise<Rig> {
  const rig = await startRig({ serving }, { limits })
  rigs.push(rig)
  return rig
}

async function open(rig: Rig): Promise<Socket & { text(): string }> {
  const socket = createConnection(Number(new URL(rig.url).port), '127.0.0.1')
  const received: Buffer[] = []
  socket.on('data', (part) => received.push(part)).on('error', () => undefined)
  await once(socket, 'connect')
  return Object.assign(socket, { text: () => Buffer.concat(received).toString('latin1') })
}

/** Also of one that is reset, with which `once` fails. */
const closing = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))

const body = (id: string, data: readonly number[] = [1, 2]) =>
  JSON.stringify({ id, inputs: [{ name: 'x', datatype: 'INT8', shape: [data.length], data }] })
const post = (text: string, ...lines: readonly string[]) =>
  head('POST', INFER, 'Content-Type: application/json', `Content-Length: ${Buffer.byteLength(text)}`, ...lines) + text
const CLOSE = 'Connection: close'
const idOf = ({ body }: { readonly body: string }) => (JSON.parse(body) as { id: string }).id

function gateOf(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open }
}

/** A serving whose answers wait until they are let go. */
function held(): { readonly serving: Serving; readonly taken: Promise<void>; readonly release: () => void } {
  const [taken, gate] = [gateOf(), gateOf()]
  const serving: Serving = {
    ...echo,
    async infer(model: string, version: string | undefined, inputs: Tensors) {
      taken.open()
      await gate.passed
      return echo.infer(model, version, inputs)
    },
  }
  return { serving, taken: taken.passed, release: gate.open }
}

describe('requests on one connection', () => {
  it('that come in one piece are answered in their order, however many', async () => {
    const rig = await start()
    const ids = Array.from({ length: 500 }, (_, i) => `r${i}`)
    const all = ids.map((id, i) => post(body(id), ...(i === 499 ? [CLOSE] : [])))
    const answers = await exchange(rig.url, all.join(''))
    expect(answers.map(idOf)).toEqual(ids)
  })

  it('may end and begin anywhere', async () => {
    const rig = await start()
    const text = post(body('a')) + post(body('b')) + post(body('c', [3]), CLOSE)
    for (const step of [7, 50, 101, 160]) {
      const parts = Array.from({ length: Math.ceil(text.length / step) }, (_, i) =>
        text.slice(i * step, (i + 1) * step),
      )
      expect((await exchange(rig.url, ...parts)).map(idOf)).toEqual(['a', 'b', 'c'])
    }
  })

  it('with other heads are told apart', async () => {
    const rig = await start()
    const parts = [post(body('a'), 'X-Request-Id: one'), post(body('b'), 'X-Request-Id: two'), post(body('cc'), CLOSE)]
    const answers = await exchange(rig.url, ...parts)
    expect(answers.map(idOf)).toEqual(['a', 'b', 'cc'])
    expect(answers.map(({ headers }) => headers.get('x-request-id'))).toEqual(['one', 'two', expect.any(String)])
    expect(answers.map(({ headers }) => headers.get('connection'))).toEqual(['keep-alive', 'keep-alive', 'close'])
  })

  it('may be for health and metadata, and go on to Node with the first that is not plain, with all that has come', async () => {
    const rig = await start()
    for (const path of ['/v2/health/live', '/v2/health/live?read=by-node']) {
      const text = post(body('a')) + head('GET', path) + post(body('b')) + post(body('c'), CLOSE)
      for (const parts of [[text], [text.slice(0, 260), text.slice(260)], [post(body('0')), text]]) {
        const answers = await exchange(rig.url, ...parts)
        const last = answers.slice(-4)
        expect(last.map(({ status }) => status)).toEqual([200, 200, 200, 200])
        expect([last[0], last[2], last[3]].map((answer) => idOf(answer!))).toEqual(['a', 'b', 'c'])
      }
    }
  })
})

describe('an answer', () => {
  it('has a date, a length and how long the connection may be idle', async () => {
    const rig = await start({ keepAliveTimeoutMs: 7_000 })
    const [answer] = await exchange(rig.url, post(body('a')), post(body('b'), CLOSE))
    expect(Object.fromEntries(answer!.headers)).toMatchObject({
      'content-type': 'application/json',
      'content-length': String(answer!.body.length),
      connection: 'keep-alive',
      'keep-alive': 'timeout=7',
      'x-tideway-version': '3',
    })
    expect(Math.abs(Date.parse(answer!.headers.get('date') ?? '') - Date.now())).toBeLessThan(5_000)
  })

  it('of text beyond ASCII has the length of its bytes', async () => {
    echo.takes(specOf('x', 'string'))
    const rig = await start()
    const text = JSON.stringify({ inputs: [{ name: 'x', datatype: 'BYTES', shape: [1], data: ['潮é'] }] })
    const [answer] = await exchange(rig.url, Buffer.from(post(text, CLOSE)))
    const { outputs } = JSON.parse(Buffer.from(answer!.body, 'latin1').toString()) as { outputs: { data: string[] }[] }
    expect(outputs[0]?.data).toEqual(['潮é'])
  })

  it.each([10, 100_000, 4_000_000])('in binary of %i bytes is whole, also for who reads slowly', async (count) => {
    const { serving, taken, release } = held()
    const rig = await start({}, serving)
    const json = JSON.stringify({
      parameters: { binary_data_output: true },
      inputs: [{ name: 'x', datatype: 'INT8', shape: [count], parameters: { binary_data_size: count } }],
    })
    const data = Buffer.from(Int8Array.from({ length: count }, (_, i) => i))
    const lines = [`Inference-Header-Content-Length: ${json.length}`, `Content-Length: ${json.length + count}`]
    const request = Buffer.concat([Buffer.from(head('POST', INFER, ...lines) + json), data])
    const socket = await open(rig)
    socket.pause()
    socket.write(request)
    socket.write(request)
    socket.write(post(body('last'), CLOSE))
    await taken
    release()
    // All of the second answer is behind what the first one leaves of the room on the way.
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
    socket.resume()
    await closing(socket)
    const answers = answersIn(socket.text())
    expect(answers).toHaveLength(3)
    for (const { headers, body } of answers.slice(0, 2)) {
      const at = Number(headers.get('inference-header-content-length'))
      expect(Buffer.from(body.slice(at), 'latin1').equals(data)).toBe(true)
    }
    expect(idOf(answers[2]!)).toBe('last')
  })
})

describe('a body', () => {
  it('beyond the limit is refused before it comes, and the next request is read behind it', async () => {
    const rig = await start({ maxInferBodyBytes: 1_000 })
    const large = post('x'.repeat(5_000))
    expect((await exchange(rig.url, large + post(body('next'), CLOSE))).map(({ status }) => status)).toEqual([413, 200])
    const [refused] = await exchange(rig.url, large.slice(0, 300))
    expect(refused?.status).toBe(413)
  })

  it('that takes longer than a request may is cut off', async () => {
    const rig = await start({ requestTimeoutMs: 100, bodyIdleMs: 60_000 })
    const socket = await open(rig)
    const closed = closing(socket)
    socket.write(head('POST', INFER, 'Content-Type: application/json', 'Content-Length: 1000000'))
    // Never silent, and it would take hours.
    const trickle = setInterval(() => socket.write(' '), 5)
    await closed
    clearInterval(trickle)
    expect(socket.text()).toMatch(/^HTTP\/1\.1 408 /)
  })

  it('that nobody reads yet waits on its way', async () => {
    const access = { apiKeys: ['a-key-of-enough-letters'] }
    const rig = await startRig({ serving: echo }, { access })
    rigs.push(rig)
    const values = Array.from({ length: 200_000 }, (_, i) => i % 100)
    const [answer] = await exchange(
      rig.url,
      post(body('big', values), `Authorization: Bearer ${access.apiKeys[0]}`, CLOSE),
    )
    expect([answer?.status, idOf(answer!)]).toEqual([200, 'big'])
  })
})

describe('a connection', () => {
  it('that says nothing is closed, as is one that is idle behind an answer', async () => {
    const rig = await start({ headersTimeoutMs: 200, keepAliveTimeoutMs: 200 })
    const [silent, idle] = [await open(rig), await open(rig)]
    idle.write(post(body('a')))
    await Promise.all([closing(silent), closing(idle)])
    expect(silent.text()).toMatch(/^HTTP\/1\.1 408 /)
    expect(answersIn(idle.text()).map(idOf)).toEqual(['a'])
  })

  it('whose head does not end in time is closed, first or not', async () => {
    const rig = await start({ headersTimeoutMs: 201 })
    const [first, next] = [await open(rig), await open(rig)]
    next.write(post(body('a')))
    await once(next, 'data')
    const began = performance.now()
    for (const socket of [first, next]) socket.write('POST /v2/mod')
    await Promise.all([closing(first), closing(next)])
    expect(performance.now() - began).toBeLessThan(10_000)
    for (const socket of [first, next]) expect(socket.text()).toMatch(/HTTP\/1\.1 408 [^{]*$/)
  })

  it('whose client goes while it is answered tells so, and troubles nobody', async () => {
    const { serving, taken, release } = held()
    const rig = await start({}, serving)
    const socket = await open(rig)
    socket.write(post(body('a')))
    await taken
    socket.destroy()
    release()
    expect((await exchange(rig.url, post(body('b'), CLOSE))).map(idOf)).toEqual(['b'])
  })

  it('is closed behind the answer under way when the server stops, and at once where there is none', async () => {
    const { serving, taken, release } = held()
    const rig = await start({}, serving)
    const [busy, idle] = [await open(rig), await open(rig)]
    busy.write(post(body('a')))
    await taken
    const stopped = rigs.pop()!.stop()
    await closing(idle)
    release()
    await Promise.all([stopped, closing(busy)])
    const [answer] = answersIn(busy.text())
    expect([idOf(answer!), answer?.headers.get('connection')]).toEqual(['a', 'close'])
  })

  it('with a head that was begun keeps no server from stopping', async () => {
    const rig = await start({ stopGraceMs: 600_000 })
    const [fresh, used] = [await open(rig), await open(rig)]
    used.write(post(body('a')))
    await once(used, 'data')
    for (const socket of [fresh, used]) socket.write('POST /v2/mod')
    const [answer] = await exchange(rig.url, post(body('b'), CLOSE))
    expect(idOf(answer!)).toBe('b')
    await Promise.all([rigs.pop()!.stop(), closing(fresh), closing(used)])
  })

  it('whose client ends it behind requests of any sort troubles nobody', async () => {
    const rig = await start()
    const plain = post(body('a'))
    const other = head('GET', '/v2/health/live?read=by-node')
    for (const text of [
      '',
      plain,
      other,
      plain + other,
      plain + plain + other,
      plain.slice(0, -5),
      plain + other.slice(0, 9),
    ]) {
      const socket = await open(rig)
      socket.end(text)
      await closing(socket)
    }
    expect((await exchange(rig.url, post(body('b'), CLOSE))).map(idOf)).toEqual(['b'])
  })

  it('that is answered too late for a server that stops is cut', async () => {
    const { serving, taken } = held()
    const rig = await start({ stopGraceMs: 50 }, serving)
    const socket = await open(rig)
    socket.write(post(body('a')))
    await taken
    await Promise.all([rigs.pop()!.stop(), closing(socket)])
    expect(socket.text()).toBe('')
  })
})
