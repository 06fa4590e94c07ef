import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Alert, createHost, silentLogger, tokens } from '@tideway/core'
import { monitorDrift } from '@tideway/monitor-drift'
import { monitorContract } from '@tideway/test/contract/monitor'
import {
  createMemoryStores,
  type MemoryStores,
  profileOf,
  publish,
  randomOf,
  reportOf,
} from '@tideway/test/contract/monitor-fixture'
import { eventually } from '@tideway/test/support/process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { webhook } from './index.js'

let server: Server
let received: Alert[]
let refusals: number

beforeEach(async () => {
  received = []
  refusals = 0
  server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      if (refusals-- > 0) return void response.writeHead(503).end()
      received.push(JSON.parse(Buffer.concat(parts).toString()) as Alert)
      response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => new Promise((resolve) => server.close(resolve)))

/** A host with a monitor and the plugin, as `tideway up` makes one. */
async function start({ reports, chunks }: MemoryStores) {
  const host = createHost()
  host.provide(tokens.logger, () => silentLogger)
  host.provide(tokens.reportStore, () => reports)
  host.provide(tokens.chunkStore, () => chunks)
  host.use(monitorDrift(), webhook({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }))
  await host.start()
  return { monitor: host.get(tokens.monitor), stop: () => host.stop() }
}

monitorContract('a monitor with the webhook beside it', start)

describe('the webhook', () => {
  async function drift() {
    const stores = createMemoryStores()
    const published = publish('digits', profileOf(1000, randomOf(1)))
    stores.add(published)
    const { monitor, stop } = await start(stores)
    const report = reportOf(published, { device: 'bad', seq: 1 }, profileOf(200, randomOf(2), 2))
    const { fresh } = await stores.reports.append([report], new Date().toISOString())
    await monitor.observe(fresh)
    return stop
  }

  it('posts each alert once', async () => {
    const stop = await drift()
    await eventually('the alerts arrived', () => received.length >= 2)
    await stop()
    expect(new Set(received.map(({ id }) => id)).size).toBe(received.length)
    expect(received.map(({ verdict }) => verdict.device)).toContain('bad')
  })

  it('tries again when the receiver is busy, and waits for that when it stops', async () => {
    refusals = 1
    const stop = await drift()
    await stop()
    expect(received.length).toBeGreaterThanOrEqual(2)
  })
})
