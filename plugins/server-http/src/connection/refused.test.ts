import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { expect, it } from 'vitest'
import { exchange, head } from '../inference/socket.fixture.js'
import type { Exchange } from './exchange.js'
import { PlainConnection } from './plain-connection.js'

const ANSWER = 'x'.repeat(100_000)

/** Refuses what is asked, ahead of its body. */
function refuser() {
  const asked: string[] = []
  const take = (exchange: Exchange) => {
    asked.push(exchange.url)
    exchange.answer(413, [], ANSWER)
    return true
  }
  const times = { headersTimeoutMs: 60_000, requestTimeoutMs: 60_000, keepAliveTimeoutMs: 60_000, bodyIdleMs: 60_000 }
  const options = { ...times, take, handOver: () => undefined, stopping: new AbortController().signal }
  return { asked, connect: (socket: Socket) => new PlainConnection(socket, options, () => undefined) }
}

it('refusals do not pile up for who reads none of them', async () => {
  const { asked, connect } = refuser()
  const unread = new Duplex({ read: () => undefined, write: () => undefined })
  Object.assign(unread, { setTimeout: () => undefined })
  connect(unread as unknown as Socket)
  const request = head('POST', '/a', 'Content-Length: 1')
  unread.push(request)
  for (let count = 0; count < 10; count++) {
    await new Promise(setImmediate)
    // The body of the one and the head of the next.
    unread.push(`x${request}`)
  }
  expect(asked).toEqual(['/a'])
  unread.destroy()
})

it('what comes behind a refused request that closes the connection is not taken up', async () => {
  const { asked, connect } = refuser()
  const server = createServer(connect).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const body = 'x'.repeat(100_000)
  const closing = head('POST', '/first', `Content-Length: ${body.length}`, 'Connection: close')
  const parts = [closing, body + head('POST', '/second', 'Content-Length: 0')]
  expect(await exchange(url, ...parts)).toMatchObject([{ status: 413, body: ANSWER }])
  expect(asked).toEqual(['/first'])
  server.close()
})
