import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { setTimeout as passed } from 'node:timers/promises'
import type { Serving, Tensors } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterEach, describe, expect, it } from 'vitest'
import { answersIn, head } from '../inference/socket.fixture.js'
import { type Rig, startRig } from '../rig.fixture.js'

/** More than the system holds for one who does not read. */
const BYTES = 24 * 1024 ** 2
const rigs: Rig[] = []
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.stop()
})

/** A model that answers as many bytes as it is given, each time when it is let. */
async function start(limits: object = {}) {
  const echo = echoServing()
  echo.takes(specOf('x', 'int8'))
  let [take, release] = [(): void => undefined, (): void => undefined]
  const taken = new Promise<void>((resolve) => {
    take = resolve
  })
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const serving: Serving = {
    ...echo,
    async infer(model: string, version: string | undefined, inputs: Tensors) {
      take()
      await released
      return echo.infer(model, version, inputs)
    },
  }
  const rig = await startRig({ serving }, { limits: { stopGraceMs: 600_000, ...limits } })
  rigs.push(rig)
  return { rig, taken, release }
}

async function open(rig: Rig): Promise<Socket> {
  const socket = createConnection(Number(new URL(rig.url).port), '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

function large(): string {
  const parameters = { binary_data_size: BYTES }
  const inputs = [{ name: 'x', datatype: 'INT8', shape: [BYTES], parameters }]
  const json = JSON.stringify({ parameters: { binary_data_output: true }, inputs })
  const lines = [`Inference-Header-Content-Length: ${json.length}`, `Content-Length: ${json.length + BYTES}`]
  return head('POST', '/v2/models/echo/infer', ...lines) + json + '\0'.repeat(BYTES)
}

async function readSlowly(socket: Socket): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of socket) {
    parts.push(part as Buffer)
    await passed(1)
  }
  return Buffer.concat(parts).toString('latin1')
}

/** A server that begins to answer, and stops behind that or ahead of it. */
async function stopping(given: 'before' | 'while', release: () => void, socket: Socket) {
  const stop = () => rigs.pop()!.stop()
  const stopped = given === 'while' ? stop() : undefined
  release()
  await once(socket, 'readable')
  return { whole: stopped ?? stop() }
}

const byNode = head('GET', '/v2/health/live?read=by-node')

describe.each([
  ['is read plainly', 'before', ''],
  ['is read plainly', 'while', ''],
  ['Node reads', 'before', byNode],
  ['Node reads', 'while', byNode],
] as const)('an answer on a connection that %s, given %s the server stops,', (_, given, first) => {
  it('comes whole to who reads it slowly', async () => {
    const { rig, taken, release } = await start()
    const socket = await open(rig)
    socket.write(first + large())
    await taken
    const stopped = await stopping(given, release, socket)
    const [text] = await Promise.all([readSlowly(socket), stopped.whole])
    const answer = answersIn(text).at(-1)
    expect(answer?.status).toBe(200)
    expect(answer?.body.length).toBe(Number(answer?.headers.get('content-length')))
    expect(answer?.body.length).toBeGreaterThan(BYTES)
  })

  it('is cut for who takes nothing of it', async () => {
    const { rig, taken, release } = await start({ bodyIdleMs: 100 })
    const socket = await open(rig)
    socket.write(first + large())
    await taken
    const stopped = await stopping(given, release, socket)
    await stopped.whole
    expect((await readSlowly(socket)).length).toBeLessThan(BYTES)
  })
})
