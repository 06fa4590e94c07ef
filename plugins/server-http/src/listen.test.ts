import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { codeOf, createHost, type JobRecord, type Logger, type Origin, silentLogger, tokens } from '@tideway/core'
import { afterEach, describe, expect, it } from 'vitest'
import { listen } from './listen.js'
import { serverHttp } from './plugin.js'
import { type Rig, startRig } from './rig.fixture.js'
import { optionsSchema } from './schema.js'

const rigs: Rig[] = []
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.stop()
})

async function start(...args: Parameters<typeof startRig>): Promise<Rig> {
  const rig = await startRig(...args)
  rigs.push(rig)
  return rig
}

const KEY = 'a-key-of-enough-letters'
const wire = { transport: 'embedded' }

it('a request may have less time than its headers usually have', async () => {
  const rig = await start({}, { limits: { requestTimeoutMs: 5_000 } })
  expect(await rig.call('GET', '/v1/health/live')).toMatchObject({ status: 200 })
})

describe('the address', () => {
  it.each(['0.0.0.0', '::', '10.1.2.3', 'example.org'])('%s is refused without credentials', async (address) => {
    const refused = listen({}, optionsSchema.parse({ host: address, port: 0 }))
    await expect(refused).rejects.toMatchObject({ code: 'CREDENTIALS_REQUIRED' })
    const host = createHost()
    host.use(serverHttp({ host: address, port: 0 }))
    await expect(host.start()).rejects.toMatchObject({ cause: { code: 'CREDENTIALS_REQUIRED' } })
  })

  it('other than loopback may be bound with credentials', async () => {
    const rig = await start({ wire }, { host: '0.0.0.0', access: { apiKeys: [KEY] } })
    const response = await fetch(rig.url.replace('0.0.0.0', '127.0.0.1') + '/v1/health/live')
    expect(response.status).toBe(200)
  })

  it('in use says so', async () => {
    const { url } = await start({})
    const again = listen({}, optionsSchema.parse({ port: Number(new URL(url).port) }))
    await expect(again).rejects.toMatchObject({ code: 'HTTP_LISTEN_FAILED', data: { reason: 'EADDRINUSE' } })
  })

  it('of another host in the Host header is not answered on loopback', async () => {
    const { url } = await start({ wire })
    const options = { headers: { Host: 'evil.example' }, agent: false } as const
    const [response] = (await once(get(`${url}/v1/wire`, options), 'response')) as [IncomingMessage]
    response.resume()
    expect(response.statusCode).toBe(403)
  })
})

describe('API keys', () => {
  it('are asked for on everything but health', async () => {
    const rig = await start({ wire }, { access: { apiKeys: ['another-key-of-letters', KEY] } })
    const bearer = (key: string) => ({ Authorization: `Bearer ${key}` })
    expect(await rig.call('GET', '/v1/wire', undefined, bearer(KEY))).toMatchObject({ status: 200 })
    for (const headers of [{}, bearer('wrong'), bearer(`${KEY}x`), { Authorization: KEY }]) {
      const refused = await rig.call('GET', '/v1/wire', undefined, headers)
      expect(refused).toMatchObject({ status: 401, code: 'UNAUTHORIZED' })
      expect(refused.headers.get('www-authenticate')).toContain('Bearer')
    }
    expect(await rig.call('GET', '/v2/models/m')).toMatchObject({ status: 401, code: 'UNAUTHORIZED' })
    expect(await rig.call('GET', '/openapi.json')).toMatchObject({ status: 401 })
    expect(await rig.call('GET', '/v1/health/ready')).toMatchObject({ status: 200 })
  })

  it('are named in the audit log, and never written there', async () => {
    const actors: string[] = []
    const submit = (_: unknown, { actor }: Origin): Promise<JobRecord> => {
      actors.push(actor)
      return Promise.reject(new Error('not now'))
    }
    const none = () => Promise.reject(new Error('not asked'))
    const rig = await start(
      { jobs: { submit, update: none, job: none, jobs: none, watch: neverJobs } },
      { access: { apiKeys: [KEY] } },
    )
    await rig.call('POST', '/v1/jobs', { model: 'm' }, { Authorization: `Bearer ${KEY}` })
    expect(actors).toEqual([expect.stringMatching(/^key:[0-9a-f]{8}$/)])
  })
})

describe('a stream of events', () => {
  it('has heartbeats while nothing changes, and its watch ends when the reader goes', async () => {
    const job = { id: 'job-1', status: 'running' } as JobRecord
    const none = () => Promise.reject(new Error('not asked'))
    let gone = (): void => undefined
    const ended = new Promise<void>((resolve) => {
      gone = resolve
    })
    async function* watch(_: string, signal?: AbortSignal) {
      yield job
      await once(signal!, 'abort')
      gone()
    }
    const jobs = { submit: none, update: none, job: () => Promise.resolve(job), jobs: none, watch }
    const rig = await start({ jobs }, { limits: { heartbeatMs: 10 } })
    const [events] = (await once(get(`${rig.url}/v1/jobs/job-1/events`), 'response')) as [IncomingMessage]
    let text = ''
    for await (const part of events.setEncoding('utf8')) {
      text += part
      if (text.split(': heartbeat\n\n').length > 2) break
    }
    expect(text).toMatch(/^event: job\ndata: \{.*\}\n\n: heartbeat\n\n/)
    await ended
  })
})

async function* neverJobs(): AsyncGenerator<JobRecord> {}

describe('errors that are not ours', () => {
  it('say nothing of themselves but a request id, which is in the log', async () => {
    const logged: unknown[] = []
    const logger: Logger = { ...silentLogger, error: (_, data) => logged.push(data) }
    const registry = new Proxy({} as never, { get: () => () => Promise.reject(new Error('password=hunter2')) })
    const rig = await start({ registry, logger })
    const { status, body, code } = await rig.call('GET', '/v1/models')
    expect([status, code]).toEqual([500, 'INTERNAL'])
    expect(JSON.stringify(body)).not.toContain('hunter2')
    const { requestId } = (body as { error: { data: { requestId: string } } }).error.data
    expect(logged).toMatchObject([{ requestId, path: '/v1/models' }])
  })

  it.each(['/nothing', '/v1/modelz', '/v2/models/m/no'])('a route that is not there (%s) has a code', async (path) => {
    const rig = await start({})
    expect(await rig.call('POST', path, {})).toMatchObject({ status: 404, code: 'ROUTE_NOT_FOUND' })
  })
})

describe('stopping', () => {
  it('finishes what is in flight, closes idle connections, and ends streams of events', async () => {
    let release = (): void => undefined
    const entered = new Promise<void>((resolve) => {
      release = resolve
    })
    let answer = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      answer = resolve
    })
    const job = { id: 'job-1', status: 'running' } as JobRecord
    const none = () => Promise.reject(new Error('not asked'))
    const jobs = {
      submit: none,
      update: none,
      job: () => Promise.resolve(job),
      async jobs() {
        release()
        await gate
        return []
      },
      async *watch(_: string, signal?: AbortSignal) {
        yield job
        if (!signal?.aborted) await once(signal!, 'abort')
      },
    }
    // Far beyond what a test may take: nothing of this waits for it.
    const listener = await listen({ jobs }, optionsSchema.parse({ port: 0, limits: { stopGraceMs: 600_000 } }))
    const agent = new Agent({ keepAlive: true })
    const [idle] = (await once(get(`${listener.url}/v1/health/live`, { agent }), 'response')) as [IncomingMessage]
    idle.resume()
    await once(idle, 'end')
    const [events] = (await once(get(`${listener.url}/v1/jobs/job-1/events`), 'response')) as [IncomingMessage]
    events.resume()
    const ended = once(events, 'end')
    const slow = once(get(`${listener.url}/v1/jobs`, { agent: new Agent({ keepAlive: true }) }), 'response')
    await entered

    const stopped = listener.stop()
    await ended
    answer()
    const [response] = (await slow) as [IncomingMessage]
    response.resume()
    expect(response.statusCode).toBe(200)
    await stopped
    await expect(fetch(`${listener.url}/v1/health/live`)).rejects.toThrow()
    agent.destroy()
  })

  it('does not wait for a connection that has carried no request', async () => {
    const rig = await startRig({}, { limits: { stopGraceMs: 600_000 } })
    const socket = connect(Number(new URL(rig.url).port), '127.0.0.1')
    await once(socket, 'connect')
    await fetch(`${rig.url}/v1/health/live`)
    const closed = once(socket, 'close')
    await rig.stop()
    await closed
  })

  it('cuts what takes longer than the grace', async () => {
    const none = () => Promise.reject(new Error('not asked'))
    const hang = () => new Promise<never>(() => undefined)
    const jobs = { submit: none, update: none, job: none, jobs: hang, watch: neverJobs }
    const listener = await listen({ jobs }, optionsSchema.parse({ port: 0, limits: { stopGraceMs: 50 } }))
    const hanging = get(`${listener.url}/v1/jobs`)
    const failed = once(hanging, 'error')
    await once(hanging, 'socket').then(([socket]) => once(socket as NodeJS.EventEmitter, 'connect'))
    await listener.stop()
    expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' })
  })
})

describe('the plugin', () => {
  it('takes what is provided when the host starts, and gives its address', async () => {
    const host = createHost()
    host.use(serverHttp({ port: 0 }))
    host.provide(tokens.wire, () => wire)
    expect(host.get(tokens.server).url).toBeUndefined()
    await host.start()
    const { url } = host.get(tokens.server)
    expect(await (await fetch(`${url}/v1/wire`)).json()).toEqual(wire)
    await host.stop()
    expect(host.get(tokens.server).url).toBeUndefined()
  })

  it('names options that are wrong', () => {
    const use = () => createHost().use(serverHttp({ port: 70_000, trustedProxies: ['proxy'] }))
    expect(use).toThrowError(expect.objectContaining({ code: 'PLUGIN_OPTIONS_INVALID' }))
    try {
      use()
    } catch (error) {
      expect(codeOf(error)).toBe('PLUGIN_OPTIONS_INVALID')
      expect(String(error)).toMatch(/port: .*trustedProxies\.0: /)
    }
  })
})
