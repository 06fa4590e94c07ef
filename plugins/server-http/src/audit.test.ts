import { createHash } from 'node:crypto'
import { openTestServices, putTestVersion, type TestServices } from '@tideway/test/support/cloud-services'
import { echoServing } from '@tideway/test/support/echo-serving'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stillTraffic } from './audit.fixture.js'
import { type Rig, startRig } from './rig.fixture.js'

const KEY = 'a-key-of-enough-letters'
const headers = {
  Authorization: `Bearer ${KEY}`,
  'X-Request-Id': 'request-1',
  'X-Forwarded-For': '192.0.2.7, 203.0.113.9',
}
let services: TestServices
let rig: Rig

beforeAll(async () => {
  services = await openTestServices()
  const access = { apiKeys: [{ key: KEY, name: 'ops' }] }
  rig = await startRig(
    { ...services, ...stillTraffic(), serving: echoServing() },
    { access, trustedProxies: ['127.0.0.0/8'] },
  )
})
afterAll(async () => {
  await rig?.stop()
  await services?.close()
})

const call = async (method: string, path: string, json?: unknown) => {
  const answer = await rig.call(method, path, json, headers)
  expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300)
  return answer.body as never
}
const register = async (marker: string) =>
  call('POST', '/v1/models/digits/versions', {
    manifestDigest: (await putTestVersion(services, 'digits', marker)).manifestDigest,
    aliases: ['latest'],
  })
const submit = () => call('POST', '/v1/jobs', { model: 'digits' }) as Promise<{ id: string }>
const digits = '/v1/models/digits'
const run = { id: 'run-1', experiment: 'digits', name: 'first' }

/** How each change that the OpenAPI document has is made. */
const changes: Readonly<Record<string, () => Promise<unknown>>> = {
  'POST /v1/models/{model}/versions': () => register('one'),
  'PUT /v1/models/{model}/aliases/{alias}': () => call('PUT', '/v1/models/digits/aliases/stable', { version: 1 }),
  'PUT /v1/blobs/{sha256}': async () => {
    const bytes = Buffer.from('a blob')
    const path = `/v1/blobs/${createHash('sha256').update(bytes).digest('hex')}`
    const given = { ...headers, 'Content-Type': 'application/octet-stream' }
    expect((await fetch(rig.url + path, { method: 'PUT', headers: given, body: bytes })).status).toBe(201)
  },
  'POST /v1/deployments': () => call('POST', '/v1/deployments', { model: 'digits', version: 'latest', fleet: 'shop' }),
  'POST /v1/jobs': submit,
  'PATCH /v1/jobs/{id}': async () => call('PATCH', `/v1/jobs/${(await submit()).id}`, { status: 'running' }),
  'POST /v1/runs': () => call('POST', '/v1/runs', run),
  'PATCH /v1/runs/{id}': () => call('PATCH', `/v1/runs/${run.id}`, { tags: { good: 'yes' } }),
  'POST /v1/keys': () => call('POST', '/v1/keys', { name: 'ci', roles: ['viewer'] }),
  'DELETE /v1/keys/{id}': async () => {
    const { record } = (await call('POST', '/v1/keys', { name: 'old', roles: ['viewer'] })) as {
      record: { id: string }
    }
    return call('DELETE', `/v1/keys/${record.id}`)
  },
  'PUT /v1/models/{model}/traffic': () => call('PUT', `${digits}/traffic`, { kind: 'single' }),
  'POST /v1/models/{model}/traffic/switch': () => call('POST', `${digits}/traffic/switch`, { active: 'green' }),
  'DELETE /v1/models/{model}/traffic': () => call('DELETE', `${digits}/traffic`),
  'POST /v1/models/{model}/ab-test': () =>
    call('POST', `${digits}/ab-test`, { control: 1, treatment: 2, metric: { kind: 'binary' }, leastEffect: 0.1 }),
  'POST /v1/models/{model}/ab-test/promote': () => call('POST', `${digits}/ab-test/promote`, {}),
  'POST /v1/models/{model}/ab-test/stop': () => call('POST', `${digits}/ab-test/stop`, {}),
  'POST /v2/repository/models/{model}/load': () => call('POST', '/v2/repository/models/echo/load', {}),
  'POST /v2/repository/models/{model}/unload': () => call('POST', '/v2/repository/models/echo/unload', {}),
}

describe('the audit log', () => {
  it('has every change, with who, from where and by which request', async () => {
    await register('zero')
    const { paths } = (await call('GET', '/openapi.json')) as {
      paths: Record<string, Record<string, Record<string, string>>>
    }
    const audited = Object.entries(paths).flatMap(([path, item]) =>
      Object.entries(item).flatMap(([method, said]) =>
        said['x-tideway-audit'] === undefined ? [] : [[`${method.toUpperCase()} ${path}`, said['x-tideway-audit']]],
      ),
    )
    expect(Object.keys(changes).toSorted()).toEqual(audited.map(([name]) => name!).toSorted())
    for (const [name = '', action] of audited) {
      const [before] = await services.auditLog.list({ limit: 1 })
      await changes[name]!()
      const [entry] = await services.auditLog.list({ limit: 1 })
      expect(entry?.id, name).toBeGreaterThan(before!.id)
      const origin = { actor: 'key:ops', address: '203.0.113.9', requestId: 'request-1' }
      expect(entry, name).toMatchObject({ action, ...origin })
      expect(JSON.stringify(entry), name).not.toMatch(/tw_[0-9a-f]{16}_/)
    }
  })

  it('is read in pages, by who may', async () => {
    const first = (await call('GET', '/v1/audit?limit=2')) as { entries: { id: number }[] }
    const second = (await call('GET', `/v1/audit?limit=2&before=${first.entries[1]!.id}`)) as typeof first
    const all = (await call('GET', '/v1/audit?limit=4')) as typeof first
    expect([...first.entries, ...second.entries]).toEqual(all.entries)
    expect(await call('GET', '/v1/audit?actor=nobody')).toEqual({ entries: [] })
  })

  it('has nothing of what was refused', async () => {
    const count = (await services.auditLog.list({ limit: 1_000 })).length
    const { key } = (await call('POST', '/v1/keys', { name: 'reader', roles: ['viewer'] })) as { key: string }
    for (const authorization of ['Bearer wrong', `Bearer ${key}`]) {
      const refused = await rig.call(
        'POST',
        '/v1/keys',
        { name: 'x', roles: ['admin'] },
        { Authorization: authorization },
      )
      expect([401, 403]).toContain(refused.status)
    }
    expect(await services.auditLog.list({ limit: 1_000 })).toHaveLength(count + 1)
  })
})

describe('keys', () => {
  const bearer = (key: string) => ({ Authorization: `Bearer ${key}` })
  const make = async (order: object) =>
    (await call('POST', '/v1/keys', order)) as { key: string; record: { id: string; lastUsedAt?: string } }

  it('are shown once, work, and are refused as soon as they are revoked', async () => {
    const { key, record } = await make({ name: 'press', roles: ['viewer'] })
    expect(await rig.call('GET', '/v1/models', undefined, bearer(key))).toMatchObject({ status: 200 })
    const { keys } = (await call('GET', '/v1/keys')) as { keys: { id: string }[] }
    expect(keys.find(({ id }) => id === record.id)).toMatchObject({ name: 'press', createdBy: 'key:ops' })
    expect(JSON.stringify(keys)).not.toContain('ecret')
    expect(JSON.stringify(keys)).not.toContain(key.slice(20))
    expect(await call('DELETE', `/v1/keys/${record.id}`)).toMatchObject({ revokedAt: expect.any(String) })
    const refused = await rig.call('GET', '/v1/models', undefined, bearer(key))
    expect(refused).toMatchObject({ status: 401, code: 'UNAUTHORIZED' })
    expect(refused.headers.get('www-authenticate')).toContain('error="invalid_token"')
    expect(await rig.call('DELETE', '/v1/keys/0123456789abcdef', undefined, headers)).toMatchObject({
      code: 'KEY_NOT_FOUND',
    })
  })

  it('name every field that is wrong', async () => {
    const refused = await rig.call('POST', '/v1/keys', { name: 'No Spaces', roles: [] }, headers)
    expect(refused).toMatchObject({ status: 400, code: 'INPUT_REJECTED' })
    expect(JSON.stringify(refused.body)).toMatch(/name.*roles/)
  })

  it('with a scope make no other keys', async () => {
    const { key } = await make({ name: 'scoped', roles: ['admin'], models: ['digits'] })
    const refused = await rig.call('POST', '/v1/keys', { name: 'x', roles: ['admin'] }, bearer(key))
    expect(refused).toMatchObject({ status: 403, code: 'ROLE_REQUIRED' })
  })

  it('of some models see and touch no others', async () => {
    await services.registry.register({
      model: 'secret',
      manifestDigest: (await putTestVersion(services, 'secret', 's')).manifestDigest,
    })
    const { key } = await make({ name: 'digits', roles: ['operator', 'publisher'], models: ['digits'] })
    const ask = (method: string, path: string, json?: unknown) => rig.call(method, path, json, bearer(key))
    expect((await ask('GET', '/v1/models')).body).toMatchObject({ models: [{ name: 'digits' }] })
    const job = (await services.jobs.submit({ model: 'secret' }, { actor: 'test' })).id
    for (const [method, path, json] of [
      ['GET', '/v1/models/secret'],
      ['POST', '/v1/deployments', { model: 'secret', version: 'latest', fleet: 'shop' }],
      ['POST', '/v1/jobs', { model: 'secret' }],
      ['GET', `/v1/jobs/${job}`],
      ['GET', `/v1/jobs/${job}/events`],
      ['PATCH', `/v1/jobs/${job}`, { status: 'running' }],
      ['POST', '/v1/runs', { id: 'r', experiment: 'secret', name: 'r' }],
      ['POST', '/v2/repository/models/secret/load', {}],
    ] as const)
      expect(await ask(method, path, json), `${method} ${path}`).toMatchObject({ status: 403, code: 'MODEL_FORBIDDEN' })
    expect(JSON.stringify((await ask('GET', '/v1/jobs')).body)).not.toContain('secret')
    expect((await ask('POST', '/v2/repository/index', {})).body).toEqual([])
    expect(await ask('GET', '/v1/models/digits')).toMatchObject({ status: 200 })
  })

  it('of publishers may call a version the latest, and nothing else', async () => {
    const { key } = await make({ name: 'trainer', roles: ['publisher'] })
    const { manifestDigest } = await putTestVersion(services, 'digits', 'by-trainer')
    const put = (aliases: string[]) =>
      rig.call('POST', '/v1/models/digits/versions', { manifestDigest, aliases }, bearer(key))
    expect(await put(['latest', 'stable'])).toMatchObject({
      status: 403,
      code: 'ROLE_REQUIRED',
      body: { error: { data: { roles: ['operator'] } } },
    })
    expect(await put(['latest'])).toMatchObject({ status: 200 })
    const job = { model: 'digits', aliases: ['stable'] }
    expect(await rig.call('POST', '/v1/jobs', job, bearer(key))).toMatchObject({ status: 403 })
  })

  it('of a device speak for it alone', async () => {
    const { key } = await make({ name: 'press-1', roles: ['device'], devices: ['plant/press-1', 'mill/*'] })
    const ask = (method: string, path: string, json?: unknown) => rig.call(method, path, json, bearer(key))
    const reported = (fleet: string, device: string) => ({
      v: 1,
      fleet,
      device,
      generation: 0,
      models: {},
      agent: 'test',
      at: new Date().toISOString(),
      storage: { freeBytes: 1 },
    })
    const put = (fleet: string, device: string) => ask('PUT', `/v1/devices/${device}/reported`, reported(fleet, device))
    expect(await put('plant', 'press-1')).toMatchObject({ status: 204 })
    expect(await put('mill', 'saw-1')).toMatchObject({ status: 204 })
    expect(await put('plant', 'press-2')).toMatchObject({ status: 403, code: 'DEVICE_FORBIDDEN' })
    // A device of another fleet cannot be taken by saying that it is in this one.
    await services.deviceStore.seen({ id: 'till-1', fleet: 'shop', at: new Date().toISOString() })
    expect(await put('mill', 'till-1')).toMatchObject({
      status: 403,
      code: 'DEVICE_FORBIDDEN',
      body: { error: { data: { fleet: 'shop' } } },
    })
    expect(await ask('GET', '/v1/devices/till-1/desired')).toMatchObject({ status: 403 })
    expect(await ask('GET', '/v1/devices/till-1/desired?fleet=mill')).toMatchObject({ status: 403 })
    expect(await ask('GET', '/v1/devices/press-1/desired?fleet=plant')).toMatchObject({
      status: 404,
      code: 'DESIRED_NOT_SET',
    })
    expect(await ask('GET', '/v1/wire')).toMatchObject({ status: 200 })
    expect(await ask('GET', '/v1/devices')).toMatchObject({ status: 403, code: 'ROLE_REQUIRED' })
  })
})
