import { createHost, tokens } from '@tideway/core'
import { startNats } from '@tideway/test/support/nats'
import { eventually, freePort } from '@tideway/test/support/process'
import { describeWithServer } from '@tideway/test/support/servers'
import { expect, it } from 'vitest'
import { transportNats } from './plugin.js'

it('refuses options that it does not know', () => {
  expect(() => createHost().use(transportNats({ uri: 'x' } as never))).toThrowError(
    expect.objectContaining({ code: 'PLUGIN_OPTIONS_INVALID' }),
  )
})

it('tells devices where NATS is, and not how the cloud gets in', () => {
  const host = createHost()
  host.use(transportNats({ url: 'nats://cloud:secret@a:4222,b:4222' }))
  expect(host.get(tokens.wire)).toEqual({ transport: 'nats', natsUrl: 'nats://a:4222,b:4222' })
})

it('does not start without its server', async () => {
  const host = createHost()
  host.use(transportNats({ url: `nats://127.0.0.1:${await freePort()}` }))
  await expect(host.start()).rejects.toMatchObject({ code: 'START_FAILED', cause: { code: 'LINK_UNAVAILABLE' } })
})

describeWithServer('nats-server', 'the NATS plugin', (path) => {
  it('gives the link and the job queue, which work once the host has started', async () => {
    const nats = await startNats(path)
    const host = createHost()
    host.use(transportNats({ url: nats.url }))
    const [link, queue] = [host.get(tokens.cloudLink), host.get(tokens.jobQueue)]
    await expect(link.putChunk('a'.repeat(64), new Uint8Array(1))).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE' })
    await host.start()
    await link.putChunk('a'.repeat(64), new Uint8Array(1))
    const done: string[] = []
    await queue.work(async (job) => void done.push(job.id))
    await queue.push({ id: 'job-1' })
    await eventually('the job is done', () => done.includes('job-1'))
    expect(link.stats().connected).toBe(true)
    await host.stop()
    expect(link.stats().connected).toBe(false)
    await nats.close()
  })
})
