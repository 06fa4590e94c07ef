import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import { affineModel, affineSignature } from '@tideway/test/support/onnx-models'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createOnnxWebRuntime } from '../runtime.js'
import { type FetchModelOptions, fetchModel } from './fetch-model.js'

async function serve(listener: RequestListener): Promise<URL> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/m.onnx`)
}

const model = Uint8Array.from({ length: 3_000_000 }, (_, at) => at * 7)
type Progress = Parameters<NonNullable<FetchModelOptions['onProgress']>>[0]

describe('fetching a model', () => {
  it('gives the bytes, and tells how far it is, of how much where the server says that', async () => {
    const url = await serve((_, response) => response.setHeader('content-length', model.length).end(model))
    const told: Progress[] = []
    expect(Buffer.compare(await fetchModel(url, { onProgress: (at) => void told.push(at) }), model)).toBe(0)
    expect(told.length).toBeGreaterThan(1)
    expect(told.every(({ total }) => total === model.length)).toBe(true)
    expect(told.map(({ bytes }) => bytes)).toEqual(told.map(({ bytes }) => bytes).toSorted((a, b) => a - b))
    expect(told.at(-1)?.bytes).toBe(model.length)
  })

  it('takes a body of unknown size, compressed or not, a file, a stream, and an answer', async () => {
    const chunked = await serve((_, response) => response.end(model))
    const compressed = await serve((_, response) => {
      const body = gzipSync(model)
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': body.length }).end(body)
    })
    for (const source of [
      chunked.href,
      compressed,
      new Blob([model]),
      new Blob([model]).stream(),
      await fetch(chunked),
    ])
      expect(Buffer.compare(await fetchModel(source), model)).toBe(0)
  })

  it('refuses what is announced as too large without reading it', async () => {
    const url = await serve((_, response) => response.writeHead(200, { 'content-length': 2 ** 40 }).write('x'))
    await expect(fetchModel(url, { maxModelBytes: 1_000 })).rejects.toMatchObject({
      code: 'TOO_LARGE',
      data: { bytes: 2 ** 40, maxBytes: 1_000 },
    })
  })

  it('stops reading a body without end at the limit', async () => {
    let given = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        given += 100
        controller.enqueue(new Uint8Array(100))
      },
      cancel: () => void (given = -given),
    })
    await expect(fetchModel(endless, { maxModelBytes: 1_050 })).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(given).toBeLessThan(0)
    expect(given).toBeGreaterThanOrEqual(-1_300)
  })

  it('gives up the rest when who is told of progress throws', async () => {
    let isGivenUp = false
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(10)),
      cancel: () => void (isGivenUp = true),
    })
    const onProgress = () => {
      throw new Error('no more')
    }
    await expect(fetchModel(stream, { onProgress })).rejects.toMatchObject({
      code: 'MODEL_FETCH_FAILED',
      data: { reason: 'no more' },
    })
    expect(isGivenUp).toBe(true)
  })

  it('says what a server answered, and that a body ended early, without what is secret in the address', async () => {
    const missing = await serve((_, response) => response.writeHead(404).end())
    missing.search = '?token=secret'
    const error = (await fetchModel(missing).catch((thrown: unknown) => thrown)) as Error & { data: { url: string } }
    expect(error).toMatchObject({ code: 'MODEL_FETCH_FAILED', data: { status: 404 } })
    expect(error.data.url).toBe(`http://${missing.host}/m.onnx`)
    expect(error.message).not.toContain('secret')
    const short = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('x')
      setImmediate(() => response.destroy())
    })
    await expect(fetchModel(short)).rejects.toMatchObject({ code: 'MODEL_FETCH_FAILED' })
    const refused: unknown = await fetchModel('http://me:secret@127.0.0.1:1/m?t=secret').catch((thrown) => thrown)
    expect(refused).toMatchObject({ code: 'MODEL_FETCH_FAILED', data: { url: 'http://127.0.0.1:1/m' } })
    expect(inspect(refused)).not.toContain('secret')
  })

  it('ends with the reason of its signal, also in the middle', async () => {
    const url = await serve((_, response) => void response.write(model))
    const aborted = new AbortController()
    const reason = new Error('enough')
    const loading = fetchModel(url, { signal: aborted.signal, onProgress: () => aborted.abort(reason) })
    await expect(loading).rejects.toBe(reason)
    await expect(fetchModel(new Blob([model]), { signal: aborted.signal })).rejects.toBe(reason)
  })

  it('is what the runtime does with an address, within the limit of the load', async () => {
    const url = await serve((_, response) => response.end(affineModel()))
    const session = await createOnnxWebRuntime().load(url)
    expect(session.signature).toEqual(affineSignature)
    await session.dispose()
    await expect(createOnnxWebRuntime().load(url, { maxModelBytes: 10 })).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })
})
