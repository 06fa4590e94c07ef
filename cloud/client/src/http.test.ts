import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { optionsSchema as accessSchema, createAccess } from '@tideway/access'
import { listen, optionsSchema } from '@tideway/server-http'
import { afterEach, describe, expect, it } from 'vitest'
import { createClient } from './client.js'

const closing: Server[] = []
afterEach(async () => {
  for (const server of closing.splice(0)) {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
})

async function serve(handler: RequestListener): Promise<string> {
  const server = createServer(handler).listen(0, '127.0.0.1')
  closing.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('a client', () => {
  it.each(['', 'localhost:4400', 'ftp://x', 'not an address'])('refuses the address %o', (url) => {
    expect(() => createClient({ url })).toThrowError(expect.objectContaining({ code: 'CLOUD_URL_INVALID' }))
  })

  it('names the address and the remedy when nothing answers', async () => {
    const url = await serve(() => undefined)
    const [server] = closing.splice(0)
    server!.close()
    await once(server!, 'close')
    const failure = createClient({ url }).models()
    await expect(failure).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE', data: { url } })
    await expect(failure).rejects.toThrow(/127\.0\.0\.1:\d+.*tideway up/)
  })

  it('gives up on a cloud that does not answer in time', async () => {
    const url = await serve(() => undefined)
    const failure = createClient({ url, timeoutMs: 50 }).models()
    await expect(failure).rejects.toMatchObject({ code: 'CLOUD_TIMEOUT', data: { timeoutMs: 50 } })
  })

  it.each([
    ['a page', 200, '<html>'],
    ['a proxy', 502, 'Bad Gateway'],
    ['JSON of another kind', 404, '{"message": "nope"}'],
    ['null', 500, 'null'],
  ])('knows %s from a cloud', async (_, status, body) => {
    const url = await serve((_request, response) => response.writeHead(status).end(body))
    const failure = createClient({ url }).model('digits')
    await expect(failure).rejects.toMatchObject({ code: 'CLOUD_ANSWER_INVALID', data: { status } })
  })

  it('knows inference answers of another shape from those of a cloud', async () => {
    const url = await serve((_request, response) => response.end('{"name":"m","outputs":[{"name":"y"}]}'))
    const client = createClient({ url })
    const refused = { code: 'CLOUD_ANSWER_INVALID', cause: { code: 'INPUT_REJECTED' } }
    await expect(client.infer('m', {})).rejects.toMatchObject(refused)
    await expect(client.metadata('m')).rejects.toMatchObject(refused)
  })

  it('says that the cloud is gone when it goes in the middle of an answer', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': 100 }).write('{"models":')
      setImmediate(() => response.destroy())
    })
    await expect(createClient({ url }).models()).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
    const bytes = createClient({ url }).getBlob('0'.repeat(64))
    await expect(bytes).rejects.toMatchObject({ code: 'CLOUD_UNREACHABLE' })
  })

  it('sends its key, and says when it is not taken', async () => {
    const apiKey = 'a-key-of-enough-letters'
    const access = createAccess(accessSchema.parse({ apiKeys: [apiKey] }))
    const listener = await listen({ wire: { transport: 'nats' }, access }, optionsSchema.parse({ port: 0 }))
    expect(await createClient({ url: listener.url, apiKey }).wire()).toEqual({ transport: 'nats' })
    const wrong = createClient({ url: listener.url, apiKey: 'another' }).wire()
    await expect(wrong).rejects.toMatchObject({ code: 'UNAUTHORIZED', status: 401 })
    await listener.stop()
  })
})
