import { once } from 'node:events'
import { createConnection } from 'node:net'
import { openAccess } from '@tideway/core'
import { echoServing } from '@tideway/test/support/echo-serving'
import { afterEach, expect, it } from 'vitest'
import { head } from '../inference/socket.fixture.js'
import { type Rig, startRig } from '../rig.fixture.js'

const MIB = 1024 ** 2
const BODY_BYTES = 256 * MIB
/** What the system holds of a connection that nobody reads is far less. */
const MAX_TAKEN_BYTES = 64 * MIB
/** A server that reads takes the next part sooner. */
const STALLED_MS = 1_000

const rigs: Rig[] = []
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.stop()
})

/** Sends parts for as long as they are taken. Answers how many bytes were. */
async function takenOf(rig: Rig, begin: string): Promise<number> {
  const socket = createConnection(Number(new URL(rig.url).port), '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(begin)
  const part = Buffer.alloc(MIB)
  let taken = 0
  for (let stalled = false; !stalled && taken < BODY_BYTES; taken += part.byteLength) {
    if (socket.write(part)) continue
    const timer = setTimeout(() => socket.emit('drain'), STALLED_MS)
    const began = performance.now()
    await once(socket, 'drain')
    clearTimeout(timer)
    stalled = performance.now() - began >= STALLED_MS - 1
  }
  socket.destroy()
  return taken
}

it.each([
  ['that goes to Node, of undeclared length', head('POST', '/v1/jobs', 'Transfer-Encoding: chunked') + '10000000\r\n'],
  ['that goes to Node, of declared length', head('PUT', '/v1/jobs', `Content-Length: ${BODY_BYTES}`)],
  [
    'that is read plainly',
    head('POST', '/v2/models/echo/infer', 'Content-Type: application/json', `Content-Length: ${BODY_BYTES}`),
  ],
])('a body %s is not taken from its sender before somebody reads it', async (_, begin) => {
  const access = { ...openAccess, identify: () => new Promise<never>(() => {}) }
  const rig = await startRig({ serving: echoServing(), access }, { limits: { stopGraceMs: 50 } })
  rigs.push(rig)
  // The head comes with the first of its body, which alone is more than is read ahead.
  expect(await takenOf(rig, begin + '\0'.repeat(MIB))).toBeLessThan(MAX_TAKEN_BYTES)
})
