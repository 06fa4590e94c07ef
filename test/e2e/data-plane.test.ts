import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as readWhole } from 'node:stream/consumers'
import { type Client, createClient } from '@tideway/client'
import { createCloud } from '@tideway/cloud'
import { type Host, resolveConfig, silentLogger, tokens } from '@tideway/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/process.js'
import { registerVersion, type TestVersion } from '../support/version.js'

const PROCESSES = 2
const CLIENTS = 8
const MAX_BODY_BYTES = 5_000

let dir: string
let cloud: Host
let client: Client
let url: string
let first: TestVersion

async function startCloud(): Promise<void> {
  const http = { port: 0, limits: { maxInferBodyBytes: MAX_BODY_BYTES } }
  const config = { dir, roles: ['api' as const], http, broker: { port: 0 }, serving: { cache: { models: ['kept'] } } }
  cloud = await createCloud(resolveConfig({ ...config, dataPlane: { port: 0, processes: PROCESSES } }), silentLogger)
  await cloud.start()
  client = createClient({ url: String(cloud.get(tokens.server).url) })
  url = String(cloud.get(tokens.dataPlane).url)
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-data-plane-'))
  await startCloud()
  first = await registerVersion(client, 'line', { seed: 1 })
})
afterAll(async () => {
  await cloud?.stop()
  await rm(dir, { recursive: true, force: true })
})

interface Said {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/** On connections of one agent, so that they stay where they were given. */
function asker(agent: Agent, path = '/v2/models/line/infer', body?: object): () => Promise<Said> {
  const inputs = [{ name: 'x', shape: [1, 8], datatype: 'FP32', data: Array.from(first.input) }]
  const text = JSON.stringify(body ?? { inputs })
  return () =>
    new Promise((resolve, reject) => {
      const asked = request(url + path, { agent, method: 'POST', headers: { 'content-type': 'application/json' } })
      asked.once('error', reject)
      asked.once('response', (response) => {
        readWhole(response).then(
          (whole) => resolve({ status: response.statusCode ?? 0, body: JSON.parse(whole) as Said['body'] }),
          reject,
        )
      })
      asked.end(text)
    })
}

/** A request that a process has taken, and waits for the body of: what is answered sends it. */
async function begun(agent: Agent): Promise<() => Promise<Said>> {
  const text = JSON.stringify({
    inputs: [{ name: 'x', shape: [1, 8], datatype: 'FP32', data: Array.from(first.input) }],
  })
  const headers = { 'content-type': 'application/json', 'content-length': text.length, expect: '100-continue' }
  const asked = request(`${url}/v2/models/line/infer`, { agent, method: 'POST', headers })
  asked.flushHeaders()
  await once(asked, 'continue')
  return async () => {
    const answered = once(asked, 'response') as Promise<[IncomingMessage]>
    asked.end(text)
    const [response] = await answered
    return { status: response.statusCode ?? 0, body: JSON.parse(await readWhole(response)) as Said['body'] }
  }
}

const agents = (count: number) => Array.from({ length: count }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
const get = async (path: string): Promise<Said> => {
  const response = await fetch(url + path)
  return { status: response.status, body: (await response.json()) as Said['body'] }
}
const pids = (): readonly number[] => cloud.get(tokens.dataPlane).pids
const countOf = async (path: string): Promise<number> => {
  const { body } = await get(path)
  const [stat] = body['model_stats'] as readonly { inference_stats: { success: { count: number } } }[]
  return stat?.inference_stats.success.count ?? 0
}

describe('processes that answer inference alone', () => {
  it('answer as the model does, over several connections', async () => {
    const said = await Promise.all(agents(CLIENTS).map((agent) => asker(agent)()))
    for (const { status, body } of said) {
      expect(status).toBe(200)
      const [output] = body['outputs'] as readonly { data: readonly number[] }[]
      output?.data.forEach((value, i) => expect(value).toBeCloseTo(first.answer[i] as number, 3))
    }
  })

  it('count together, whichever is asked, and so does the other face of the cloud', async () => {
    const before = await countOf('/v2/models/line/stats')
    const [one, other] = agents(2) as [Agent, Agent]
    for (let i = 0; i < 5; i++) {
      await asker(one)()
      await asker(other)()
    }
    const everywhere = await Promise.all(Array.from({ length: 4 }, () => countOf('/v2/models/line/stats')))
    expect(new Set(everywhere)).toEqual(new Set([before + 10]))
    const face = await fetch(`${cloud.get(tokens.server).url}/v2/models/line/stats`)
    const { model_stats } = (await face.json()) as {
      model_stats: { inference_stats: { success: { count: number } } }[]
    }
    expect(model_stats[0]?.inference_stats.success.count).toBe(before + 10)
  })

  it('unload and load a model in all of them, whichever is told', async () => {
    const all = agents(4)
    expect((await asker(all[0] as Agent, '/v2/repository/models/line/unload', {})()).status).toBe(200)
    for (const agent of all) expect((await asker(agent)()).body).toMatchObject({ code: 'MODEL_UNLOADED' })
    expect((await asker(all[1] as Agent, '/v2/repository/models/line/load', {})()).status).toBe(200)
    for (const agent of all) expect((await asker(agent)()).status).toBe(200)
    const { body } = await asker(all[0] as Agent, '/v2/repository/index', {})()
    expect(body).toEqual([{ name: 'line', version: '1', state: 'READY', reason: '' }])
  })

  it('leave unloaded what was, also those that come later', async () => {
    const [agent] = agents(1) as [Agent]
    expect((await asker(agent, '/v2/repository/models/line/unload', {})()).status).toBe(200)
    const before = pids()
    for (const pid of before) process.kill(pid, 'SIGKILL')
    await eventually('all are others', () => pids().length === PROCESSES && !pids().some((pid) => before.includes(pid)))
    for (const one of agents(2 * PROCESSES)) expect((await asker(one)()).body).toMatchObject({ code: 'MODEL_UNLOADED' })
    expect((await asker(agents(1)[0] as Agent, '/v2/repository/models/line/load', {})()).status).toBe(200)
    for (const one of agents(2 * PROCESSES)) expect((await asker(one)()).status).toBe(200)
  })

  it('take bodies as large as the configuration says, as the other face of the cloud does', async () => {
    const [agent] = agents(1) as [Agent]
    const inputs = [{ name: 'x', shape: [1, 8], datatype: 'FP32', data: Array.from(first.input) }]
    const body = { id: 'x'.repeat(MAX_BODY_BYTES), inputs }
    expect(await asker(agent, undefined, body)()).toMatchObject({ status: 413, body: { code: 'TOO_LARGE' } })
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    expect((await fetch(`${cloud.get(tokens.server).url}/v2/models/line/infer`, post)).status).toBe(413)
  })

  it('go on where many connect and leave at once', async () => {
    const { hostname, port } = new URL(url)
    for (let round = 0; round < 20; round++)
      await Promise.all(
        Array.from({ length: CLIENTS }, async () => {
          const socket = connect(Number(port), hostname)
          await once(socket, 'connect')
          socket.resetAndDestroy()
        }),
      )
    for (const agent of agents(4 * PROCESSES)) expect((await asker(agent)()).status).toBe(200)
  })

  it('have no routes of the control plane', async () => {
    expect(await get('/v1/models')).toMatchObject({ status: 404, body: { error: { code: 'ROUTE_NOT_FOUND' } } })
    expect((await get('/v2/health/ready')).body).toEqual({ ready: true })
  })

  it('follow an alias that moves', async () => {
    const second = await registerVersion(client, 'line', { seed: 2 })
    const all = agents(4)
    await eventually('all answer with the new version', async () => {
      const said = await Promise.all(all.map((agent) => asker(agent)()))
      return said.every(({ body }) => body['model_version'] === String(second.version.version))
    })
  })

  it('count together what their caches had and had not, as the metrics of all do', async () => {
    const kept = await registerVersion(client, 'kept', { seed: 3 })
    const inputs = [{ name: 'x', shape: [1, 8], datatype: 'FP32', data: Array.from(kept.input) }]
    for (const agent of agents(CLIENTS)) {
      for (let i = 0; i < 3; i++) expect((await asker(agent, '/v2/models/kept/infer', { inputs })()).status).toBe(200)
    }
    const [stat] = (await get('/v2/models/kept/stats')).body['model_stats'] as readonly {
      inference_stats: Record<'success' | 'cache_hit' | 'cache_miss', { count: number; ns: number }>
    }[]
    const { success, cache_hit: hits, cache_miss: misses } = stat?.inference_stats ?? {}
    const metrics = await (await fetch(`${cloud.get(tokens.server).url}/metrics`)).text()
    const told = (result: string) =>
      Number(new RegExp(`^tideway_inference_cache_total\\{result="${result}"\\} (\\d+)$`, 'm').exec(metrics)?.[1])
    expect({ hits: hits?.count, misses: misses?.count }).toEqual({ hits: told('hit'), misses: told('miss') })
    // Each process has a cache of its own.
    expect(misses?.count).toBe(PROCESSES)
    expect([(hits?.count ?? 0) + (misses?.count ?? 0), success?.count]).toEqual([3 * CLIENTS, 3 * CLIENTS])
    for (const { ns } of [hits, misses].filter((counted) => counted !== undefined)) expect(ns).toBeGreaterThan(0)
  })

  it('are replaced when one ends, while the others go on', async () => {
    const results: Said[] = []
    const [victim] = pids() as [number]
    let isDone = false
    const loops = agents(CLIENTS).map(async (agent) => {
      while (!isDone) results.push(await asker(agent)().catch(() => ({ status: 0, body: {} })))
    })
    await eventually('some requests are answered', () => results.length > 50)
    process.kill(victim, 'SIGKILL')
    await eventually('another process is there', () => {
      const now = pids()
      return now.length === PROCESSES && !now.includes(victim)
    })
    const broken = results.length
    await eventually('requests go on', () => results.length > broken + 50)
    isDone = true
    await Promise.all(loops)
    // Connections of the one that ended are cut once; nothing is answered wrongly, and nothing later fails.
    expect(results.filter(({ status }) => status === 0).length).toBeLessThanOrEqual(CLIENTS)
    expect(results.filter(({ status }) => status !== 0 && status !== 200)).toEqual([])
    expect(results.slice(broken + CLIENTS).every(({ status }) => status === 200)).toBe(true)
  })

  it('finish what they took when the cloud stops, and end with it', async () => {
    const all = pids()
    const taken = await Promise.all(agents(CLIENTS).map(begun))
    const stopped = cloud.stop()
    for (const { status } of await Promise.all(taken.map((end) => end()))) expect(status).toBe(200)
    await stopped
    expect(all.filter(isRunning)).toEqual([])
    await startCloud()
  })
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
