import {
  type Access,
  type AccessRole,
  type Actor,
  accessRoles,
  allows,
  type DeviceRecord,
  type DeviceStore,
  errors,
  type Logger,
  type ReportStore,
} from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApp } from './app.js'
import { type Rig, startRig } from './rig.fixture.js'

interface Operation {
  readonly method: string
  readonly path: string
  readonly roles: readonly string[]
  readonly said: Readonly<Record<string, unknown>>
}

/** Lets in whoever says who it is. */
const trusting: Access = {
  required: true,
  identify({ authorization }) {
    if (authorization === undefined) throw errors.UNAUTHORIZED({ given: false })
    return JSON.parse(Buffer.from(authorization, 'base64').toString()) as Actor
  },
}
const as = (actor: Partial<Actor>) => ({
  Authorization: Buffer.from(JSON.stringify({ name: 'somebody', roles: [], ...actor })).toString('base64'),
})
const app = createApp({ access: trusting })
const operations: Operation[] = []

beforeAll(async () => {
  const response = await app.request('http://localhost/openapi.json', { headers: as({ roles: ['viewer'] }) })
  const { paths } = (await response.json()) as { paths: Record<string, Record<string, Record<string, unknown>>> }
  for (const [path, item] of Object.entries(paths))
    for (const [method, said] of Object.entries(item))
      operations.push({ method: method.toUpperCase(), path, roles: said['x-tideway-role'] as string[], said })
})

const ask = ({ method, path }: Operation, headers: Record<string, string>) =>
  app.request(`http://localhost${path.replaceAll(/\{\w+\}/g, 'x')}`, { method, headers })

describe('every route', () => {
  it('declares who may ask it', () => {
    expect(operations.length).toBeGreaterThan(45)
    for (const { method, path, roles } of operations) {
      expect(roles?.length, `${method} ${path}`).toBeGreaterThan(0)
      expect(['open', ...accessRoles], `${method} ${path}`).toEqual(expect.arrayContaining([...roles]))
    }
    expect(operations.filter(({ roles }) => roles.includes('open')).map(({ path }) => path)).toEqual([
      '/v1/health/live',
      '/v1/health/ready',
      '/v2/health/live',
      '/v2/health/ready',
    ])
  })

  it('refuses who has not said who it is, but for health', async () => {
    for (const operation of operations) {
      const { status } = await ask(operation, {})
      const name = `${operation.method} ${operation.path}`
      if (operation.roles.includes('open')) expect([200, 503], name).toContain(status)
      else expect(status, name).toBe(401)
    }
  })

  it.each([[] as AccessRole[], ...accessRoles.map((role) => [role])])(
    'refuses who has only the role %s and not its own',
    async (...own) => {
      for (const operation of operations) {
        const response = await ask(operation, as({ roles: own }))
        const name = `${operation.method} ${operation.path}`
        const actor = { name: 'somebody', roles: own }
        const may = operation.roles.some((role) => role === 'open' || allows(actor, role as AccessRole))
        if (may) {
          expect([401, 403], name).not.toContain(response.status)
          continue
        }
        expect(response.status, name).toBe(403)
        const scope = operation.roles.join(' ')
        const challenge = `Bearer realm="tideway", error="insufficient_scope", scope="${scope}"`
        expect(response.headers.get('www-authenticate'), name).toBe(challenge)
        if (operation.method === 'HEAD') continue
        const { error, code = (error as { code: string }).code } = (await response.json()) as {
          error: unknown
          code?: string
        }
        expect(code, name).toBe('ROLE_REQUIRED')
      }
    },
  )

  it('that is of one model refuses who may not touch that model', async () => {
    const ofModels = operations.filter(({ path }) => path.includes('{model}'))
    expect(ofModels.length).toBeGreaterThan(12)
    for (const operation of ofModels) {
      const name = `${operation.method} ${operation.path}`
      expect((await ask(operation, as({ roles: ['admin'], models: ['other'] }))).status, name).toBe(403)
      expect([401, 403], name).not.toContain((await ask(operation, as({ roles: ['admin'], models: ['x'] }))).status)
    }
  })

  it('that counts reports refuses who is restricted, but for what their devices sent', async () => {
    const reportStore = { counts: async () => ({ event: 1 }) } as unknown as ReportStore
    const counting = createApp({ access: trusting, reportStore })
    const counts = async (query: string, actor: Partial<Actor>) => {
      const headers = as({ roles: ['viewer'], ...actor })
      const response = await counting.request(`http://localhost/v1/reports/counts${query}`, { headers })
      return { status: response.status, body: await response.json() }
    }
    const [forbidden, counted] = [(code: string) => ({ status: 403, body: { error: { code } } }), { status: 200 }]
    expect(await counts('', {})).toMatchObject(counted)
    expect(await counts('', { models: ['x'] })).toMatchObject(forbidden('ALL_MODELS_REQUIRED'))
    const mine = { devices: ['f/d'] }
    expect(await counts('?fleet=f&device=d', mine)).toMatchObject(counted)
    for (const query of ['', '?fleet=f', '?device=d', '?fleet=f&device=e'])
      expect(await counts(query, mine), query).toMatchObject(forbidden('DEVICE_FORBIDDEN'))
  })

  it('that tells of the whole process refuses who is restricted to some models', async () => {
    const metrics = { method: 'GET', path: '/metrics', roles: [], said: {} }
    const refused = await ask(metrics, as({ roles: ['admin'], models: ['x'] }))
    expect(refused.status).toBe(403)
    expect(await refused.json()).toMatchObject({ error: { code: 'ALL_MODELS_REQUIRED' } })
    expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="tideway", error="insufficient_scope"')
    // It has no metrics here, which it says to who may ask.
    expect((await ask(metrics, as({ roles: ['viewer'] }))).status).toBe(503)
  })

  it('of devices tells who is restricted to some models of no others', async () => {
    const [at, status] = ['2026-01-01T00:00:00.000Z', 'active' as const]
    const reported = {
      v: 1 as const,
      device: 'd',
      fleet: 'f',
      generation: 1,
      at,
      models: { x: { status }, y: { status } },
    }
    const device: DeviceRecord = { id: 'd', fleet: 'f', firstSeenAt: at, lastSeenAt: at, reported }
    const desired = { v: 1, generation: 1, issuedAt: at, models: { x: { version: 1 }, y: { version: 1 } } }
    const deviceStore = {
      devices: async () => [device],
      device: async () => device,
      seen: async () => device,
      desired: async () => desired,
    } as unknown as DeviceStore
    const fleet = createApp({ access: trusting, deviceStore })
    const modelsIn = async (path: string, actor: Partial<Actor>) =>
      (await (await fleet.request(`http://localhost${path}`, { headers: as(actor) })).text()).match(/"[xy]"/g)
    for (const path of ['/v1/devices', '/v1/devices/d', '/v1/devices/d/desired']) {
      expect(await modelsIn(path, { roles: ['viewer'] }), path).toEqual(['"x"', '"y"'])
      expect(await modelsIn(path, { roles: ['viewer'], models: ['x'] }), path).toEqual(['"x"'])
    }
    // The device itself is to run both.
    const itself = { roles: ['device'] as const, models: ['x'] }
    expect(await modelsIn('/v1/devices/d/desired?fleet=f', itself)).toEqual(['"x"', '"y"'])
  })

  it('that changes something says what the audit log says of it, or why nothing', () => {
    for (const { method, path, said } of operations) {
      const isChange = !['GET', 'HEAD'].includes(method)
      const audits = [said['x-tideway-audit'], said['x-tideway-unaudited']].filter((text) => typeof text === 'string')
      expect(audits.length, `${method} ${path}`).toBe(isChange ? 1 : 0)
    }
  })
})

describe('the way of inference ahead of all routes', () => {
  const serving = echoServing()
  serving.takes(specOf('x', 'float32'))
  const refused: unknown[] = []
  const logger = {
    debug() {},
    info() {},
    error() {},
    warn: (...line: unknown[]) => void refused.push(line),
  } satisfies Logger
  let rig: Rig
  beforeAll(async () => {
    rig = await startRig({ serving, access: trusting, logger })
  })
  afterAll(() => rig?.stop())
  const body = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] }
  const infer = (headers: Record<string, string>) => rig.call('POST', '/v2/models/echo/infer', body, headers)

  it('asks for the same', async () => {
    expect(await infer({})).toMatchObject({ status: 401, code: 'UNAUTHORIZED' })
    expect(await infer(as({ roles: ['device'] }))).toMatchObject({ status: 403, code: 'ROLE_REQUIRED' })
    expect(await infer(as({ roles: ['viewer'], models: ['other'] }))).toMatchObject({
      status: 403,
      code: 'MODEL_FORBIDDEN',
    })
    expect(await infer(as({ roles: ['viewer'], models: ['echo'] }))).toMatchObject({ status: 200 })
    const { headers } = await infer({})
    // RFC 6750, 3.1: no error code where there were no credentials.
    expect(headers.get('www-authenticate')).toBe('Bearer realm="tideway"')
  })

  it('logs what it refuses, and no more than can be read', async () => {
    refused.length = 0
    for (let i = 0; i < 60; i++) await infer({})
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThanOrEqual(20)
    const from = { actor: 'anyone', address: '127.0.0.1' }
    const line = { code: 'UNAUTHORIZED', method: 'POST', path: '/v2/models/echo/infer', ...from }
    expect(refused[0]).toMatchObject(['a request was refused', line])
  })
})
